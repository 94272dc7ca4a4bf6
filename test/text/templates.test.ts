import { describe, expect, test } from "vitest";
import { compileTemplate, TemplateError } from "../../src/text/jinja/template.js";
import { forTemplate, type Message } from "../../src/text/messages.js";
import { goldenJson } from "./golden.js";

interface Case {
  template: number;
  messages: Message[];
  add_generation_prompt: boolean;
  tools?: object[];
  kwargs?: Record<string, unknown>;
  text: string | null;
}
interface Part {
  names?: string[];
  sources: string[];
  cases: Case[];
}

// Written by transformers: oracles/templates.py.
const golden: { special: Record<string, string>; templates: Part; expressions: Part } = goldenJson("templates.json");
/** The clock under which the oracle rendered. */
const now = () => new Date(2024, 6, 4, 9, 5, 7);

/** The text of a case, null where the template or this engine refuses it. */
function rendered(source: string, c: Case): { text: string | null; reason?: string } {
  const variables = {
    ...golden.special,
    tools: c.tools ?? null,
    documents: null,
    ...c.kwargs,
    messages: c.messages.map(forTemplate),
    add_generation_prompt: c.add_generation_prompt,
  };
  try {
    return { text: compileTemplate(source, { now })(variables) };
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    return { text: null, reason: error.message };
  }
}

describe("templates in the shapes of published models render as in transformers", () => {
  const { names, sources, cases } = golden.templates;
  test.each([...sources.entries()])("shape %i", (template, source) => {
    for (const c of cases.filter((c) => c.template === template))
      expect({ name: names?.[template], messages: c.messages, ...rendered(source, c) }).toMatchObject({ text: c.text });
  });
});

test("random expressions render as in Jinja2, or their construct is refused", () => {
  const { sources, cases } = golden.expressions;
  let refused = 0;
  for (const c of cases) {
    const { text, reason } = rendered(sources[c.template], c);
    if (text === null && c.text !== null && reason?.includes("not supported")) refused++;
    else expect({ source: sources[c.template], text, reason }).toMatchObject({ text: c.text });
  }
  expect(refused).toBeLessThanOrEqual(4);
});

test.each([
  "{{ 'a'|urlize }}",
  "{{ 1 is filter }}",
  "{% include 'x' %}",
  "{% for x in messages recursive %}{% endfor %}",
  "{% for x in messages %}{% generation %}{% break %}{% endgeneration %}{% endfor %}",
  "{{ 1 < 2 < 3 }}",
  "{% if true %}never closed",
  "{{ 'a' | safe + '<' }}",
  "{{ cycler(1, 2) }}",
])("what is not supported is refused before anything renders: %s", (source) => {
  expect(() => compileTemplate(source)).toThrow(TemplateError);
});

/** Columns of a prompts file beside the prompt: kept in the run, and read by the chat template where it reads them. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { readRun } from "../../src/store/runFolder.js";
import { dualign } from "./run.js";

const choice = fileURLToPath(new URL("../../pocket/choice", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-columns-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

// A model whose template says what tools there are, in words that it knows.
cpSync(choice, at("model"), { recursive: true });
const config = JSON.parse(readFileSync(join(choice, "tokenizer_config.json"), "utf8"));
const chat_template =
  "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if tools %}{% for tool in tools %} {{ tool['name'] }}{% endfor %}{% endif %}{% if also %} {{ also }}{% endif %}";
writeFileSync(join(at("model"), "tokenizer_config.json"), JSON.stringify({ ...config, chat_template }));
const words = ["open", "move"].flatMap((verb) => ["door", "box", "car"].map((thing) => `${verb} ${thing}`));
const rows = words.flatMap((a, i) =>
  words.map((b, j) => ({
    kind: i % 2 === 0 ? "even" : "odd",
    prompt: `${a} ${b}`,
    ...(j % 3 === 0 && { tools: [{ name: "box" }, { name: "car" }] }),
    ...(j % 3 === 1 && { chat_template_kwargs: { also: "door" } }),
  })),
);
/** What the model is to read, by hand. */
const rendered = ({ prompt, tools, chat_template_kwargs: also }: (typeof rows)[number]) =>
  [prompt, ...(tools ?? []).map(({ name }) => name), ...(also ? [also.also] : [])].join(" ");
const jsonl = (name: string, all: readonly unknown[]) => {
  writeFileSync(at(name), all.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return at(name);
};
jsonl("prompts.jsonl", rows);
writeFileSync(
  at("score.mjs"),
  "export default (rows) => rows.map(({ response, row }) => response.length + (row.kind === 'odd'));",
);
const recipe = (more = "", prompts = "prompts.jsonl") => {
  writeFileSync(
    at("recipe.yaml"),
    `model: ./model
prompts: { file: ${prompts}, held_out: 8, limit: 24${more} }
confidence: none
beta: 5
sampling: { num_samples: 4, max_new_tokens: 3 }
reward: { module: score.mjs }
safety: [{ name: careful, module: score.mjs, margin: 0.01 }]
train: { learning_rate: 1.0e-3, max_steps: 3, lora_r: 2 }
evaluate: { num_samples: 2, bootstrap: 100 }
`,
  );
  return at("recipe.yaml");
};

test("tools and chat_template_kwargs of a row reach sampling, training and evaluation", async () => {
  const { status, stderr } = await dualign("mocan", recipe(), "--run", at("run"), "--quiet");
  expect([status, stderr]).toEqual([0, ""]);
  const run = await readRun(at("run"));
  const byText = new Map(rows.map((row) => [row.prompt, row]));
  const given = (messages: { content: string }[]) => rendered(byText.get(messages[0].content)!);
  for (const [policy, adapter] of [
    ["reference", []] as const,
    ["aligned", ["--adapter", join(at("run"), "aligned")]] as const,
  ]) {
    const found = await run.query(
      "SELECT messages, response, response_ids, finish_reason, logprob FROM samples JOIN prompts USING (prompt) WHERE policy = $1",
      policy,
    );
    expect(found.length).toBeGreaterThan(8);
    // The same tokens under the same model without a template, from the texts written by hand.
    const plain = found.map(({ messages, response_ids, ...row }) => ({
      ...{ prompt: given(JSON.parse(messages as string)), response: row.response, finish_reason: row.finish_reason },
      response_ids: response_ids as number[],
    }));
    const output = at(`${policy}.jsonl`);
    const data = ["--data", jsonl("plain.jsonl", plain), "--output", output];
    expect((await dualign("logprobs", "--model", choice, ...adapter, ...data, "--quiet")).status).toBe(0);
    const logprobs = readFileSync(output, "utf8").trim().split("\n");
    for (const [i, line] of logprobs.entries())
      expect(JSON.parse(line).logprob).toBeCloseTo(found[i].logprob as number, 3);
  }
  // A training that read other prompts than were sampled on would not start at the reference.
  expect((await run.trainSteps("aligned"))[0].loss).toBeCloseTo(Math.log(2), 3);
  await run.close();
}, 60_000);

test("own columns are in the run, in its view, in its report and in what modules are given", async () => {
  const run = await readRun(at("run"));
  const kinds = await run.query(
    "SELECT extra->>'kind' AS kind, count(DISTINCT prompt)::INTEGER AS prompts FROM scored WHERE policy = 'reference' GROUP BY ALL ORDER BY ALL",
  );
  expect(kinds.map(({ kind }) => kind)).toEqual(["even", "odd"]);
  expect(kinds.reduce((sum, { prompts }) => sum + (prompts as number), 0)).toBe(24 + 8);
  const [{ wrong }] = await run.query(
    "SELECT count(*)::INTEGER AS wrong FROM scored WHERE score <> length(response) + (extra->>'kind' = 'odd')::INTEGER",
  );
  expect(wrong).toBe(0);
  await run.close();
  expect(readFileSync(join(at("run"), "report.html"), "utf8")).toContain("kind: odd");
});

test("what no template reads is said, and what is no variable refused", async () => {
  const plain = await dualign("sample", at("other"), "--recipe", recipe(', template: "{prompt}"'), "--json");
  expect(plain.events.flatMap(({ event, message }) => (event === "notice" ? [message] : [])).join()).toMatch(
    /\d+ plain prompts have tools/,
  );
  jsonl("wrong.jsonl", [...rows, { prompt: "open car", tools: "no list" }]);
  const wrong = await dualign("check", recipe("", "wrong.jsonl"));
  expect(wrong.status).toBe(2);
  expect(wrong.stderr).toMatch(/wrong\.jsonl:37: "tools"/);
  // The same text with other tools is another prompt.
  jsonl("tools.jsonl", [...rows.slice(0, 30), { ...rows[0], tools: [{ name: "door" }] }]);
  expect((await dualign("check", recipe("", "tools.jsonl"))).status).toBe(0);
});

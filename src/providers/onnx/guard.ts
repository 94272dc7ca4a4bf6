/** Guard models: chat models that answer "safe" or "unsafe" (Llama Guard, ShieldGemma, Granite Guardian, WildGuard). */
import { InputError } from "../../errors.js";
import type { Runtime } from "../../graph/index.js";
import type { Notice } from "../../ports/events.js";
import type { GivenResponse } from "../../ports/policy.js";
import type { Scorer } from "../../ports/scorer.js";
import { fillPlaces } from "../../text/places.js";
import { asUserTurn, type Text } from "../../text/rows.js";
import { openPolicy } from "./policy.js";

/** Guard to open. */
export interface GuardRef {
  /** Name in errors. */
  readonly name: string;
  readonly model: string;
  readonly adapter?: string;
  /** Text with {prompt} and {response}; without one the conversation goes through the model's own chat template. */
  readonly template?: string;
  /** Answers whose log-odds are the score: higher is safer. */
  readonly safe: string;
  readonly unsafe: string;
}

/**
 * Scorer of a guard: ln p(safe answer) − ln p(unsafe answer), in nats, as the guard would go on after the conversation.
 * @throws InputError where the model has no chat template and none is given.
 */
export async function openGuard(
  runtime: Runtime,
  { name, model, adapter, template, safe, unsafe }: GuardRef,
  notice: Notice = () => {},
): Promise<Scorer> {
  const policy = await openPolicy(runtime, { model, adapter }, notice);
  if (template === undefined && !policy.hasChatTemplate)
    throw new InputError(
      `scorer '${name}': ${model} has no chat template; give 'template', a text with {prompt} and {response}`,
    );
  return {
    flopsPerToken: policy.flopsPerToken,
    async *score(rows) {
      // Both answers to a conversation, one after the other: they share its tokens.
      const asked = rows.flatMap((row): GivenResponse[] => {
        const prompt = conversation(row, template);
        return [safe, unsafe].map((response) => ({ prompt, response, where: row.where }));
      });
      const found: (number | undefined)[] = [];
      for await (const { index, value } of policy.logprobs(asked)) {
        found[index] = value;
        const row = index >> 1;
        const [yes, no] = [found[2 * row], found[2 * row + 1]];
        if (yes !== undefined && no !== undefined) yield { index: row, value: yes - no };
      }
    },
    close: () => policy.close(),
  };
}

/** What a guard is asked about a response. */
function conversation({ prompt, response }: GivenResponse, template: string | undefined): Text {
  if (template !== undefined) return fillPlaces(template, { prompt, response });
  return [...asUserTurn(prompt), { role: "assistant", content: response }];
}

/** Judges of every kind that a recipe may name. */

import { InputError } from "../errors.js";
import type { Preference } from "../evaluate/winRate.js";
import type { Comparison, Judge } from "../ports/judge.js";
import type { JudgeSpec } from "../recipe/parse.js";
import { openEndpointJudge } from "./endpoint/judge.js";
import { openModuleScorer } from "./module/scorer.js";
import { clip, DEFAULT_TIMEOUT, kind, openUserFunction } from "./module/userModule.js";

/** Function that a judging module exports as its default; an answer is "first", "second" or "tie". */
export type JudgeFunction = (rows: Comparison[]) => string[] | Promise<string[]>;

/** Rows that a module gets at a time: as many verdicts are lost at most where it fails. */
const batchSize = 32;

/**
 * Opens a judge: a chat endpoint, a module that judges pairs, or a rubric (a scoring module: the higher score wins).
 * @throws InputError if the endpoint's key is not in the environment, or the module cannot be used.
 */
export async function openJudge(spec: JudgeSpec): Promise<Judge> {
  const { name, question, endpoint, model, module, rubric, parameters, concurrency, timeout, retries } = spec;
  if (module !== undefined) return moduleJudge(name, module);
  if (rubric !== undefined) return rubricJudge(spec, rubric);
  const key = process.env[spec.key] || undefined;
  const local = /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:|\/|$)/.test(endpoint!);
  if (key === undefined && !local)
    throw new InputError(
      `judge '${name}' needs the endpoint's key in the environment variable ${spec.key}, which is not set`,
    );
  return openEndpointJudge({
    name,
    question,
    endpoint: endpoint!,
    model: model!,
    key,
    parameters,
    concurrency,
    timeout,
    retries,
  });
}

async function moduleJudge(name: string, file: string): Promise<Judge> {
  const what = `judge '${name}'`;
  const signature = '(rows) => ("first" | "second" | "tie")[]';
  const judge = await openUserFunction({ what, file, signature, timeout: DEFAULT_TIMEOUT });
  return {
    async *judge(comparisons) {
      for (let start = 0; start < comparisons.length; start += batchSize) {
        const batch = comparisons.slice(start, start + batchSize);
        const first = `the responses ${clip(batch[0].first)} and ${clip(batch[0].second)}`;
        const answers = await judge.call(batch, { items: "verdicts", first });
        for (const [i, answer] of answers.entries())
          yield { index: start + i, preference: verdict(what, answer), answer: null };
      }
    },
    close: () => judge.close(),
  };
}

function verdict(what: string, answer: unknown): Preference {
  if (answer === "first" || answer === "second" || answer === "tie") return answer;
  throw new InputError(`${what} gave ${kind(answer)} in place of "first", "second" or "tie"`);
}

async function rubricJudge({ name, sign }: JudgeSpec, file: string): Promise<Judge> {
  const scorer = await openModuleScorer(name, file, 2 * batchSize);
  return {
    async *judge(comparisons) {
      const rows = comparisons.flatMap(({ prompt, first, second }) =>
        [first, second].map((response) => ({ prompt, response, responseIds: [], finishReason: "stop" as const })),
      );
      let before = 0;
      // A module's scores come in the order of the rows.
      for await (const { index, value } of scorer.score(rows)) {
        const score = sign * value;
        if (index % 2 === 0) before = score;
        else {
          const preference = before > score ? "first" : before < score ? "second" : "tie";
          yield { index: (index - 1) / 2, preference, answer: `${before} against ${score}` };
        }
      }
    },
    close: () => scorer.close(),
  };
}

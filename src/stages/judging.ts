/** A judge compares a policy's responses with the reference's. Every verdict is kept in the run, and asked for once. */

import { type JudgedPair, winRate } from "../evaluate/winRate.js";
import type { Comparison } from "../ports/judge.js";
import type { VerdictRow, WinRateRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import type { World } from "../ports/world.js";
import type { JudgeSpec } from "../recipe/parse.js";
import { reference, store, type Task } from "./collect.js";

/** Judges the held-out responses that the judge has not judged, in both orders, and gives the win rate. */
export async function judgePolicy(
  run: RunStore,
  world: World,
  spec: JudgeSpec,
  policy: string,
  task: Task,
): Promise<WinRateRow> {
  await collectVerdicts(run, world, spec, policy, task);
  const { bootstrap, confidence } = run.recipe.evaluate;
  const pairs = judgedPairs(await run.verdicts(spec.name, policy));
  const { interval, ...rate } = winRate(pairs, { replicates: bootstrap, confidence, seed: run.recipe.seed });
  return { policy, judge: spec.name, question: spec.question, ...rate, low: interval[0], high: interval[1] };
}

type Unjudged = Omit<VerdictRow, "preference" | "answer">;

async function collectVerdicts(
  run: RunStore,
  world: World,
  spec: JudgeSpec,
  policy: string,
  { stage, split, emit }: Task,
): Promise<void> {
  const known = new Set((await run.verdicts(spec.name, policy)).map(key));
  const prompts = new Map((await run.prompts(split)).map(({ prompt, text }) => [prompt, text] as const));
  const others = new Map((await run.samples(reference, split)).map((row) => [sampleKey(row), row.response]));
  const asked: { row: Unjudged; comparison: Comparison }[] = [];
  const equal: VerdictRow[] = [];
  for (const { prompt, sample, response } of await run.samples(policy, split)) {
    const other = others.get(sampleKey({ prompt, sample }));
    if (sample >= spec.per_prompt || other === undefined) continue;
    for (const policyFirst of [true, false]) {
      const row = { judge: spec.name, policy, prompt, sample, policyFirst };
      if (known.has(key(row))) continue;
      const [first, second] = policyFirst ? [response, other] : [other, response];
      // Nobody needs to be asked about two equal responses.
      if (first === second) equal.push({ ...row, preference: "tie", answer: null });
      else asked.push({ row, comparison: { prompt: prompts.get(prompt)!, first, second } });
    }
  }
  await run.addVerdicts(equal);
  if (asked.length === 0) return;
  const judge = await world.openJudge(spec);
  try {
    await store(judge.judge(asked.map(({ comparison }) => comparison)), {
      // A verdict may have been paid for: none waits for the next.
      batch: 1,
      write: (verdicts) =>
        run.addVerdicts(verdicts.map(({ index, preference, answer }) => ({ ...asked[index].row, preference, answer }))),
      done: (done) =>
        emit({
          event: "progress",
          stage,
          task: `${spec.name}, ${policy}`,
          done: known.size + equal.length + done,
          total: known.size + equal.length + asked.length,
          unit: "verdicts",
        }),
    });
  } finally {
    await judge.close();
  }
}

const sampleKey = ({ prompt, sample }: { prompt: number; sample: number }) => `${prompt}/${sample}`;
const key = (row: Unjudged) => `${sampleKey(row)}/${row.policyFirst}`;

/** Puts the two orders of every pair together; a pair that lacks one is left out. */
function judgedPairs(verdicts: readonly VerdictRow[]): JudgedPair[] {
  const second = new Map(verdicts.filter(({ policyFirst }) => !policyFirst).map((row) => [sampleKey(row), row]));
  return verdicts.flatMap((row) => {
    const other = second.get(sampleKey(row));
    if (!row.policyFirst || !other) return [];
    return [{ prompt: row.prompt, policyFirst: row.preference, policySecond: other.preference }];
  });
}

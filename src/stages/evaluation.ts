/** What a trained policy gained over the reference on held-out prompts, beside what the dual predicted. */

import { promptOffsets } from "../dual/offsets.js";
import { improvement, type PromptScores, verdictOn } from "../evaluate/improvement.js";
import type { DoneEvent } from "../ports/events.js";
import type { EvaluationRow, ScoreTable } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import { arrivalOf } from "./arrival.js";
import { confidenceOf } from "./confidence.js";

/** Aim of a policy's training: the scorers that predictions are about, by their names. */
export interface Aim {
  readonly reward: string;
  readonly safety: readonly { readonly name: string; readonly margin: number }[];
}

/**
 * One row for every scorer and one for the KL: means, the improvement with its bootstrap interval (paired by prompt),
 * and the verdict on each constraint; where a confidence is asked, intervals and verdicts of the safety scores are those of the last look. Predictions are there where the policy has one.
 */
export async function evaluate(
  run: RunStore,
  reference: string,
  policy: string,
  { reward, safety }: Aim,
  heldOut: readonly { name: string }[],
): Promise<EvaluationRow[]> {
  const { recipe } = run;
  const { bootstrap: replicates, confidence } = recipe.evaluate;
  const options = { replicates, confidence, seed: recipe.seed };
  const prediction = await run.prediction(policy);
  const last = (await run.select("looks", { policy })).at(-1);

  const row = async (
    scorer: string,
    role: EvaluationRow["role"],
    predicted: number | null,
    margin: number | null,
  ): Promise<EvaluationRow> => {
    const scores = async (of: string) => byPrompt(await run.scoreTable(of, "held-out", [scorer]));
    const { before, after, gain, interval } = improvement(await scores(reference), await scores(policy), options);
    return {
      policy,
      scorer,
      role,
      reference: before,
      aligned: after,
      predicted,
      measured: gain,
      low: interval[0],
      high: interval[1],
      margin,
      verdict: margin === null ? null : verdictOn(margin, interval),
    };
  };

  const rows = [await row(reward, "reward", prediction?.rewardGain ?? null, null)];
  for (const [j, { name, margin }] of safety.entries()) {
    const found = await row(name, "safety", prediction?.safetyGain[j] ?? null, margin);
    const interval = last && ([last.low[j], last.high[j]] as const);
    rows.push(
      interval ? { ...found, low: interval[0], high: interval[1], verdict: verdictOn(margin, interval) } : found,
    );
  }
  for (const { name } of heldOut) rows.push(await row(name, "held-out", null, null));
  const { values, offsets } = await logRatios(run, reference, policy);
  const kl = improvement({ values: new Float64Array(values.length), offsets }, { values, offsets }, options);
  rows.push({
    policy,
    scorer: "kl",
    role: "kl",
    reference: 0,
    aligned: kl.after,
    predicted: prediction?.kl ?? null,
    measured: kl.gain,
    low: kl.interval[0],
    high: kl.interval[1],
    margin: null,
    verdict: null,
  });
  return rows;
}

/** The run's last event. */
export async function doneEvent(run: RunStore, policy: string): Promise<DoneEvent> {
  const rows = await run.evaluations(policy);
  const { lambda } = (await run.solve(policy))!;
  const reward = rows.find(({ role }) => role === "reward")!;
  const [chosen] = await run.select("calibrations", { policy });
  const asked = confidenceOf(run.recipe);
  return {
    event: "done",
    kind: "run",
    lambda: [...lambda],
    verdicts: rows
      .filter(({ role }) => role === "safety")
      .map(({ scorer, margin, predicted, measured, low, high, verdict }) => ({
        constraint: scorer,
        margin: margin!,
        predicted: predicted!,
        measured,
        interval: [low, high],
        verdict: verdict!,
      })),
    reward: { predicted: reward.predicted!, measured: reward.measured, interval: [reward.low, reward.high] },
    ...(chosen &&
      asked && {
        calibration: {
          confidence: asked.confidence,
          strength: chosen.strength,
          outcome: chosen.outcome,
          reason: chosen.reason,
        },
      }),
    training: (await arrivalOf(run, policy)) ?? null,
    report: `${run.path}/report.html`,
  };
}

/** A score of a split's samples, grouped by prompt. */
export const byPrompt = ({ prompt, columns: [values] }: Pick<ScoreTable, "prompt" | "columns">): PromptScores => ({
  values,
  offsets: promptOffsets(prompt),
});

/** ln π/π_ref of the policy's own samples: their mean estimates its KL. */
async function logRatios(run: RunStore, reference: string, policy: string): Promise<PromptScores> {
  const own = await run.samples(policy, "held-out");
  const under = await run.logprobs(policy, "held-out", reference);
  return byPrompt({
    prompt: Int32Array.from(own, ({ prompt }) => prompt),
    columns: [Float64Array.from(own, ({ logprob }, i) => logprob - under[i].logprob)],
  });
}

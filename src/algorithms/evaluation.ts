/** What a trained policy gained over the reference on held-out prompts, beside what the dual predicted. */
import { Random } from "../random.js";
import type { DoneEvent, EvaluationRow, RunStore, ScoreTable, Verdict } from "./stages.js";

/**
 * One row for every scorer and one for the KL: means, the improvement with its bootstrap interval (paired by prompt),
 * and the verdict on each constraint.
 */
export async function evaluate(run: RunStore, reference: string, policy: string): Promise<EvaluationRow[]> {
  const { recipe } = run;
  const { reward, safety } = recipe;
  const { bootstrap: resamples, confidence, scorers } = recipe.evaluate;
  const solve = (await run.solve(policy))!;
  const interval = (differences: readonly number[]) =>
    bootstrap(Float64Array.from(differences), { resamples, confidence, seed: recipe.seed });

  const row = async (
    scorer: string,
    role: EvaluationRow["role"],
    predicted: number | null,
    margin: number | null,
  ): Promise<EvaluationRow> => {
    const before = promptMeans(await run.scoreTable(reference, "held-out", [scorer]));
    const after = promptMeans(await run.scoreTable(policy, "held-out", [scorer]));
    const [low, high] = interval(after.map((value, i) => value - before[i]));
    return {
      policy,
      scorer,
      role,
      reference: mean(before),
      aligned: mean(after),
      predicted,
      measured: mean(after) - mean(before),
      low,
      high,
      margin,
      verdict: margin === null ? null : verdictOn(margin, low, high),
    };
  };

  const rows = [await row(reward.name, "reward", solve.rewardGain, null)];
  for (const [j, { name, margin }] of safety.entries())
    rows.push(await row(name, "safety", solve.safetyGain[j], margin));
  for (const { name } of scorers) rows.push(await row(name, "held-out", null, null));
  const ratios = await promptLogRatios(run, reference, policy);
  const [low, high] = interval(ratios);
  rows.push({
    policy,
    scorer: "kl",
    role: "kl",
    reference: 0,
    aligned: mean(ratios),
    predicted: solve.kl,
    measured: mean(ratios),
    low,
    high,
    margin: null,
    verdict: null,
  });
  return rows;
}

/** Held if the whole interval reaches the margin, not held if none of it does. */
export function verdictOn(margin: number, low: number, high: number): Verdict {
  return low >= margin ? "held" : high < margin ? "not held" : "undecided";
}

/** The run's last event. */
export async function doneEvent(run: RunStore, policy: string): Promise<DoneEvent> {
  const rows = await run.evaluations(policy);
  const { lambda } = (await run.solve(policy))!;
  const reward = rows.find(({ role }) => role === "reward")!;
  return {
    event: "done",
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
    report: `${run.path}/report.html`,
  };
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean of a score over each prompt's samples, in prompt order. */
function promptMeans({ prompt, columns: [score] }: Pick<ScoreTable, "prompt" | "columns">): number[] {
  const groups = new Map<number, number[]>();
  for (const [i, id] of prompt.entries()) {
    const group = groups.get(id) ?? [];
    group.push(score[i]);
    groups.set(id, group);
  }
  return [...groups.values()].map(mean);
}

/** Mean of ln π/π_ref over each prompt's samples from π: an estimate of its KL. */
async function promptLogRatios(run: RunStore, reference: string, policy: string): Promise<number[]> {
  const own = await run.samples(policy, "held-out");
  const under = await run.logprobs(policy, "held-out", reference);
  return promptMeans({
    prompt: Int32Array.from(own, ({ prompt }) => prompt),
    columns: [Float64Array.from(own, ({ logprob }, i) => logprob - under[i].logprob)],
  });
}

/** Percentile bootstrap of a mean. */
function bootstrap(
  values: Float64Array,
  { resamples, confidence, seed }: { resamples: number; confidence: number; seed: number },
): [number, number] {
  const random = new Random(seed);
  const means = Float64Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[random.integer(values.length)];
    return sum / values.length;
  }).sort();
  const tail = Math.floor(((1 - confidence) / 2) * resamples);
  return [means[tail], means[resamples - 1 - tail]];
}

/** Bills of a comparison's policies. */
import type { Bill } from "../../ports/events.js";
import type { CostRow } from "../../ports/rows.js";
import type { RunStore } from "../../ports/store.js";
import type { CompareRecipe } from "../../recipe/parse.js";
import { reference } from "../../stages/collect.js";
import type { Work } from "./contender.js";

/**
 * Bill of a piece of work. Of the sampled tokens only the responses' are counted, since the samples of a prompt share its
 * work; of training, prompts too.
 */
export async function billOf(
  run: RunStore,
  recipe: CompareRecipe,
  { offline, sampled, trained, iterations, share = 1 }: Work,
  costs: readonly CostRow[],
): Promise<Bill> {
  const scorers = [recipe.reward, ...recipe.safety].map(({ name }) => name);
  const bill: Bill = {
    trainings: 0,
    tokens_sampled: 0,
    tokens_trained: 0,
    flops: 0,
    seconds: 0,
    peak_memory_bytes: null,
  };
  const compute = (flops: number | null | undefined) => {
    bill.flops = bill.flops === null || flops == null ? null : bill.flops + flops;
  };
  const spend = (of: string, activity: string): CostRow | undefined => {
    const cost = costs.find((row) => row.policy === of && row.activity === activity);
    if (!cost) return undefined;
    bill.seconds += cost.seconds;
    if (cost.peakMemoryBytes !== null)
      bill.peak_memory_bytes = Math.max(bill.peak_memory_bytes ?? 0, cost.peakMemoryBytes);
    return cost;
  };

  for (const of of [...(offline.length > 0 ? [reference] : []), ...sampled]) {
    const tokens = await run.sampledTokens(of, "train");
    bill.tokens_sampled += tokens;
    for (const activity of ["sample", ...(of === reference ? offline : scorers).map((name) => `score ${name}`)]) {
      const cost = spend(of, activity);
      if (cost) compute(cost.flopsPerToken === null ? null : tokens * cost.flopsPerToken);
    }
  }
  for (const name of trained) {
    // A model that was given cost nothing here.
    if (!(await run.training(name))) continue;
    for (const activity of ["dual", "relabel", "pretrain", "train"]) spend(name, activity);
    for (const { tokens = 0, flops } of iterations.length > 0 ? [] : await run.trainSteps(name)) {
      bill.tokens_trained += tokens;
      compute(flops);
    }
    bill.trainings++;
  }
  for (const { tokensSampled, tokensTrained, flops } of iterations) {
    bill.tokens_sampled += tokensSampled;
    bill.tokens_trained += tokensTrained;
    compute(flops);
  }
  bill.seconds *= share;
  return bill;
}

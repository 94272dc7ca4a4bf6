/** What each method takes until its policy reaches the margins: the rules by which a baseline's bill is counted. */
import { billOf } from "./bill.js";
import type { Contender, Entry, ReachBill, ReachRule } from "./contender.js";

/** Rule of one-shot methods: the policy of the solved λ, else the first given λ whose prediction reaches the margins. */
export const solvedOnce: ReachRule = async (own, { recipe }) => {
  const margins = (of: Contender) => (of.problem === "preferences" ? recipe.preferences! : recipe).safety;
  const promising = ({ contender, row }: Entry) =>
    margins(contender).every(({ margin }, j) => row.predicted![j + 1].gain >= margin);
  const isSolved = ({ contender }: Entry) => contender.lambda === "solved";
  const entry = own.find(isSolved) ?? own.find(promising);
  if (!entry) return [];
  const extent = isSolved(entry) ? "λ* solved, trained once" : `λ = ${entry.row.lambda}, whose prediction reaches it`;
  return [{ entry, extent, bill: entry.row.bill }];
};

/** Rule of a grid: policies are trained in its order until one is measured to reach the margins. */
export const untilOneReaches: ReachRule = async (own, { run, recipe, costs }) => {
  const first = own.findIndex(({ row }) => row.safety.every(({ verdict }) => verdict !== "not held"));
  const tried = first < 0 ? own : own.slice(0, first + 1);
  const work = await tried[0].contender.work(run);
  const trained = tried.map(({ contender }) => contender.policy);
  const bill = await billOf(run, recipe, { ...work, trained }, costs);
  return [{ entry: tried[tried.length - 1], extent: `${tried.length} of ${own.length} λ`, bill }];
};

/** Rule of methods that promise nothing: every training as it was. */
export const asTrained: ReachRule = async (own) => own.map((entry) => ({ entry, extent: "", bill: entry.row.bill }));

/**
 * Rule of methods that move λ: up to the first iteration that measured the margins reached once λ had settled, or all.
 * Where λ swings past λ*, the margin is reached sooner, by a policy that gives up more reward than was asked.
 */
export const untilSettled: ReachRule = async (own, { run, recipe, costs }) => {
  const found: ReachBill[] = [];
  for (const entry of own) {
    const all = await run.multipliers(entry.contender.policy);
    const settled = settlesAt(all.map(({ lambda }) => lambda));
    const reached = (gain: readonly number[]) => recipe.safety.every(({ margin }, j) => gain[j] >= margin);
    const first = all.findIndex(({ gain }, i) => i >= settled && reached(gain));
    const iterations = first < 0 ? all : all.slice(0, first + 1);
    const bill = await billOf(run, recipe, await entry.contender.work(run, iterations), costs);
    found.push({ entry, extent: `${iterations.length} of ${all.length} iterations`, bill });
  }
  return found;
};

/** Iteration from which on λ stays within a tenth of where it ends, of the largest multiplier. */
function settlesAt(path: readonly (readonly number[])[]): number {
  const last = path[path.length - 1] ?? [];
  const tolerance = 0.1 * Math.max(...last);
  const off = path.findLastIndex((lambda) => lambda.some((value, j) => Math.abs(value - last[j]) > tolerance));
  return off + 1;
}

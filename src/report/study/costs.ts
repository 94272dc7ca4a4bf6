/** What a run took: its work piece by piece, and what each method of a comparison took up to the margins. */
import type { Bill as BillRow } from "../../ports/events.js";
import type { Verdict } from "../../ports/rows.js";
import { scorersBehind } from "../../recipe/parts.js";
import { reference } from "../../stages/collect.js";
import { aligned } from "../../stages/context.js";
import type { Bill, Outcome } from "../figures.js";
import { measured } from "./policies.js";
import type { Study } from "./study.js";

/** Piece of work and what it took. */
export interface Work {
  readonly name: string;
  readonly seconds: number;
  /** Tokens sampled, or passed through training. */
  readonly tokens?: number;
  /** Floating-point operations. */
  readonly flops?: number;
  readonly peakMemoryBytes?: number;
}

/** Work of a method up to a policy that reaches the margins, or all that it tried. */
export interface MarginBill {
  readonly method: string;
  /** Whether it moves λ as it trains. */
  readonly moving: boolean;
  /** What is counted: "3 of 5 iterations". */
  readonly extent: string;
  /** Verdict on the margins, and gain in reward, of the policy that it ends with. */
  readonly verdict: Verdict;
  readonly reward: Outcome;
  readonly bill: Bill;
}

/** Bill as a page has it. */
export const billOf = (bill: BillRow): Bill => ({
  trainings: bill.trainings,
  tokensSampled: bill.tokens_sampled,
  tokensTrained: bill.tokens_trained,
  flops: bill.flops,
  seconds: bill.seconds,
  peakMemoryBytes: bill.peak_memory_bytes,
});

/** Bills up to the margins of a comparison's methods, in the order of its table; none of a run. */
export async function marginBills(study: Study): Promise<MarginBill[]> {
  const { run, comparison: recipe } = study;
  if (!recipe) return [];
  const entries = await study.entries();
  const costs = await run.costs();
  const found: MarginBill[] = [];
  for (const method of new Set(entries.map((entry) => entry.method))) {
    const own = entries.filter((entry) => entry.method === method).map(({ row, ...contender }) => ({ contender, row }));
    for (const { entry, extent, bill } of await own[0].contender.reach(own, { run, recipe, costs })) {
      const { safety, reward } = entry.row;
      const missed = (["not held", "undecided"] as const).find((one) => safety.some(({ verdict }) => verdict === one));
      found.push({
        method: entry.contender.label,
        moving: entry.contender.lambda === "moving",
        extent,
        verdict: missed ?? "held",
        reward: measured(reward),
        bill: billOf(bill),
      });
    }
  }
  return found;
}

/** Work of all of a run: by piece in a run of one method, by activity in a comparison. */
export const workOf = (study: Study): Promise<Work[]> => (study.comparison ? byActivity(study) : byPiece(study));

interface Piece {
  readonly name: string;
  readonly policy: string;
  readonly activity: string;
  /** Tokens that went through a model. */
  readonly tokens?: number;
  /** Times that each did: forward, back, and once more for weights that are trained. */
  readonly passes?: number;
  /** Whether the tokens are this work's own product, to be named beside it. */
  readonly counted?: boolean;
}

/** The solve and the labels, which no model works on, are billed by their stages. */
async function byPiece({ run }: Study): Promise<Work[]> {
  const { reward, evaluate, train } = run.recipe;
  const safety = run.recipe.method === "pecan" ? run.recipe.safety : scorersBehind(run.recipe.safety);
  const names = [reward, ...safety].map(({ name }) => name);
  const bill = await run.costs();
  const trained = async (policy: string) =>
    (await run.trainSteps(policy)).reduce((sum, { tokens = 0 }) => sum + tokens, 0);
  const sampled = await run.sampledTokens(reference, "train");
  const training = { passes: train.use_peft ? 2 : 3, counted: true };
  const held = (policy: string) => run.sampledTokens(policy, "held-out");
  const pieces: Piece[] = [];
  for (const name of [...names, ...evaluate.scorers.map((spec) => spec.name)])
    pieces.push({
      ...{ name: `pretrain ${name}`, policy: name, activity: "pretrain", tokens: await trained(name) },
      ...training,
    });
  pieces.push({ name: "sample", policy: reference, activity: "sample", tokens: sampled, passes: 1, counted: true });
  for (const name of names) {
    const activity = `score ${name}`;
    pieces.push({ name: activity, policy: reference, activity, tokens: sampled, passes: 1 });
  }
  pieces.push({ name: "dual", policy: aligned, activity: "dual" });
  pieces.push({ name: "relabel", policy: aligned, activity: "relabel" });
  pieces.push({ name: "train", policy: aligned, activity: "train", tokens: await trained(aligned), ...training });
  for (const [policy, name] of [
    [reference, "the reference"],
    [aligned, "the aligned model"],
  ] as const)
    pieces.push({
      ...{ name: `evaluate ${name}`, policy, activity: "evaluate", tokens: await held(policy), counted: true },
    });

  const perToken = bill.find((row) => row.policy === reference && row.activity === "sample")?.flopsPerToken;
  const found: Work[] = [];
  for (const { name, policy, activity, tokens, passes, counted } of pieces) {
    const billed = bill.find((row) => row.policy === policy && row.activity === activity);
    const seconds =
      billed?.seconds ?? (name === "dual" || name === "relabel" ? await run.stageSeconds(name) : undefined);
    if (seconds === undefined) continue;
    const flops = billed?.flopsPerToken ?? (counted ? perToken : undefined);
    found.push({
      name,
      seconds,
      tokens: counted && tokens ? tokens : undefined,
      flops: passes && tokens && flops ? passes * tokens * flops : undefined,
      peakMemoryBytes: billed?.peakMemoryBytes ?? undefined,
    });
  }
  return found;
}

async function byActivity({ run }: Study): Promise<Work[]> {
  const found = new Map<string, Work>();
  for (const { activity, seconds, peakMemoryBytes } of await run.costs()) {
    const known = found.get(activity);
    found.set(activity, {
      name: activity,
      seconds: (known?.seconds ?? 0) + seconds,
      peakMemoryBytes: Math.max(known?.peakMemoryBytes ?? 0, peakMemoryBytes ?? 0) || undefined,
    });
  }
  const order = ["pretrain", "sample", "score", "dual", "relabel", "train", "evaluate"];
  const place = ({ name }: Work) => order.indexOf(name.split(" ")[0]);
  return [...found.values()].sort((a, b) => place(a) - place(b));
}

/** Figures of a policy that several sections show, as plain JSON. */
import type { Family } from "../methods/compare/contender.js";
import type { Verdict } from "../ports/rows.js";

export type { Family, Verdict };

/** Interval of a figure, at the report's confidence. */
export type Interval = readonly [low: number, high: number];

/** Gain of a score over the reference. `null`: not predicted, or not measured. */
export interface Outcome {
  readonly name: string;
  readonly predicted: number | null;
  readonly predictedInterval?: Interval | null;
  readonly measured: number | null;
  readonly interval: Interval | null;
}

/** Gain of a safety score, and what was asked of it. */
export interface SafetyOutcome extends Outcome {
  readonly margin: number;
  readonly verdict: Verdict | null;
}

/** Condition of a problem: a score and the gain that it has to reach. */
export interface Condition {
  readonly name: string;
  readonly margin: number;
}

/** Sizes of what a run was solved and measured on. */
export interface RunCounts {
  /** Prompts of the solve and the training. */
  readonly prompts: number;
  /** Responses sampled for each of them. */
  readonly responses: number;
  readonly heldOutPrompts: number;
  readonly heldOutResponses: number;
}

/** Rate at which a judge prefers a policy's response to the reference's; each pair is judged in both orders. */
export interface WinRate {
  readonly judge: string;
  readonly question: string;
  /** Ties count half. */
  readonly rate: number;
  readonly interval: Interval;
  /** Pairs won in both orders, lost in both, or neither; those with an unreadable verdict are in none. */
  readonly wins: number;
  readonly losses: number;
  readonly ties: number;
  readonly unreadable: number;
  /** Share of the pairs in which the order decided. */
  readonly swayed: number;
}

/** Policy of a run or of a comparison, with what was predicted and measured of it. */
export interface PolicyFigures {
  readonly family: Family;
  /** Name in a table: "MoCAN λ = 0.5". */
  readonly name: string;
  /** Name in a chart that has a key of the families: "0.5". */
  readonly mark: string;
  /** Name in the run. Rows of one name are one policy, which several methods lead to. */
  readonly policy: string;
  readonly lambda: readonly number[] | null;
  /** Whether λ is the λ* of the margins. */
  readonly solved: boolean;
  /** Whether its method solves for λ before it trains. */
  readonly oneShot: boolean;
  readonly reward: Outcome;
  readonly safety: readonly SafetyOutcome[];
  /** Gains by scorers that took no part in any solve. */
  readonly heldOut: readonly Outcome[];
  readonly kl: Outcome;
  /** What the dual said beforehand, in the scores that it was solved in, beside the measurement: the reward first. */
  readonly predictions: readonly Outcome[];
  /** Effective sample size of the prediction. */
  readonly ess?: { readonly mean: number; readonly min: number };
  readonly winRates: readonly WinRate[];
}

/** Work that led to a policy, whatever it shares with others included. */
export interface Bill {
  readonly trainings: number;
  readonly tokensSampled: number;
  readonly tokensTrained: number;
  /** Floating-point operations; `null`: not known. */
  readonly flops: number | null;
  readonly seconds: number;
  readonly peakMemoryBytes: number | null;
}

/** Policies as they differ: of rows that share one the first, and how the others call it. */
export function distinct<T extends Pick<PolicyFigures, "name" | "policy">>(
  policies: readonly T[],
): { policy: T; others: string[] }[] {
  const found = new Map<string, { policy: T; others: string[] }>();
  for (const policy of policies) {
    const known = found.get(policy.policy);
    if (known) known.others.push(policy.name);
    else found.set(policy.policy, { policy, others: [] });
  }
  return [...found.values()];
}

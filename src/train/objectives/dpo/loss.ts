/** What a loss of DPO is made of: one record each, all of them listed in `losses.ts`. */
import type { Tensor } from "../../../graph/graph.js";
import type { KnownLoss } from "../objective.js";

/** The options that all losses read. */
export interface DpoLossOptions {
  readonly beta: number;
  /** A share of flipped labels, 0 ≤ share < ½; what a loss makes of it is its own. */
  readonly labelSmoothing: number;
}

/** Pair whose two scores are known. */
export interface ScoredPair {
  /** What the training sees: the probability that chosen is better, or a draw of it (0 or 1). */
  readonly label: number;
  /** σ(difference), by Bradley–Terry. */
  readonly probability: number;
  /** r_λ(chosen) − r_λ(rejected); the optimum's log-ratios differ by so much divided by β. */
  readonly difference: number;
}

/** A loss of DPO on z, the difference of a pair's log-ratios ln π/π_ref, chosen minus rejected. */
export interface DpoLoss {
  /** A phrase for the help of `loss_type`. */
  readonly description: string;
  /** Whether log-ratios are means over a completion's tokens instead of sums. */
  readonly perToken?: boolean;
  /** Whether pairs must say the difference of log-ratios that the optimum has, which takes scored samples. */
  readonly needsTarget?: boolean;
  /** The loss of a batch as a graph scalar, from z [P] and the columns (`perPair`). */
  loss(z: Tensor, options: DpoLossOptions): Tensor;
  /** The columns of a pair; what multiplies its part of the loss is times `scale`. */
  columns(
    pair: { readonly probability: number; readonly target?: number },
    options: DpoLossOptions,
    scale: number,
  ): Readonly<Record<string, number>>;
  /** What is wrong with labels of a kind under these options, with what to do; undefined where nothing is. */
  objection?(labels: "soft" | "hard", options: DpoLossOptions): string | undefined;
  /** What the loss of a pair is known to be; null where its optimum is not known, or there is none. */
  known(pair: ScoredPair, options: DpoLossOptions): KnownLoss | null;
}

/** A label of which a share is kept for the other order: label smoothing. */
export const smoothed = (p: number, share: number): number => p + share * (1 - 2 * p);

/** The cross entropy of a label and a probability in nats: −label · ln p − (1 − label) · ln(1 − p), in nats. */
export function crossEntropy(label: number, probability: number): number {
  const term = (share: number, p: number) => (share === 0 ? 0 : -share * Math.log(p));
  return term(label, probability) + term(1 - label, 1 - probability);
}

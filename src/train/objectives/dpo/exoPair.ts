import { add, mul, neg, reduceSum, sigmoid, softplus } from "../../../graph/ops.js";
import { perPair } from "../pairs.js";
import { type DpoLoss, smoothed } from "./loss.js";

/** Labels that are sure to more digits than this have a logarithm to learn from all the same. */
const SUREST = 1e-12;
const inside = (p: number): number => Math.min(1 - SUREST, Math.max(SUREST, p));

/** KL(q ‖ p) of two pairs of probabilities, by what q and p give to the first; in nats. */
const divergence = (q: number, p: number): number => q * Math.log(q / p) + (1 - q) * Math.log((1 - q) / (1 - p));

/**
 * KL(q ‖ p), q = (σ(β·z), σ(−β·z)) and p the label's two probabilities (EXO-pref, Ji et al. 2024, eq. 16): DPO's
 * divergence turned around. With soft labels its least value is 0, at p_λ. As in TRL, label smoothing is what gives hard
 * labels a logarithm.
 */
export const exoPair: DpoLoss = {
  description: "sigmoid's divergence turned around, with the same optimum; hard labels need label_smoothing",
  loss(z, { beta }) {
    const t = mul(z, beta);
    const q = sigmoid(t);
    // ln q = −softplus(−t) and ln(1 − q) = −softplus(t).
    const chosen = mul(q, add(softplus(neg(t)), perPair("log_likely")));
    const rejected = mul(sigmoid(neg(t)), add(softplus(t), perPair("log_unlikely")));
    return neg(reduceSum(mul(perPair("share"), add(chosen, rejected))));
  },
  columns({ probability }, { labelSmoothing }, scale) {
    const p = inside(smoothed(probability, labelSmoothing));
    return { share: scale, log_likely: Math.log(p), log_unlikely: Math.log(1 - p) };
  },
  objection: (labels, { labelSmoothing }) =>
    labels === "hard" && labelSmoothing === 0
      ? "exo_pair is infinite at hard labels: set label_smoothing above 0, such as 0.001, or use soft labels"
      : undefined,
  known({ label, probability }, { labelSmoothing }) {
    const p = inside(smoothed(label, labelSmoothing));
    const logit = (of: number) => Math.log(of / (1 - of));
    // Drawn labels are met on average where the logits are their mean.
    const drawn = logit(inside(labelSmoothing)) * (1 - 2 * probability);
    const q = label === probability ? p : 1 / (1 + Math.exp(-drawn));
    return { start: divergence(0.5, p), optimum: divergence(q, p) };
  },
};

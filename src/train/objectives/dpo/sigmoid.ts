import { mul, softplus } from "../../../graph/ops.js";
import { bothOrders, orderWeights } from "../pairs.js";
import { crossEntropy, type DpoLoss, smoothed } from "./loss.js";

/**
 * −ln σ(β·z) (Rafailov et al. 2023); label smoothing keeps a share of every label for the other order (conservative DPO).
 * Soft labels have the loss at p_λ: the mean binary entropy.
 */
export const sigmoid: DpoLoss = {
  description: "−ln σ of the margin, whose optimum is the run's own",
  loss: (z, { beta }) => bothOrders(z, (t) => softplus(mul(t, -beta))),
  columns: ({ probability }, { labelSmoothing }, scale) => orderWeights(smoothed(probability, labelSmoothing), scale),
  known: ({ label, probability }, { labelSmoothing }) => ({
    start: Math.LN2,
    optimum: crossEntropy(smoothed(label, labelSmoothing), smoothed(probability, labelSmoothing)),
  }),
};

import { orderWeights } from "../pairs.js";
import { crossEntropy, type DpoLoss } from "./loss.js";
import { sigmoid } from "./sigmoid.js";

/** A label out of which what a share of flipped ones has brought in is taken again. */
const cleaned = (p: number, share: number): number => (p - share) / (1 - 2 * share);

/** Sigmoid for labels of which a share `labelSmoothing` is known to be flipped (Chowdhury et al. 2024). */
export const robust: DpoLoss = {
  description: "sigmoid without the bias of flipped labels",
  loss: sigmoid.loss,
  columns: ({ probability }, { labelSmoothing }, scale) => orderWeights(cleaned(probability, labelSmoothing), scale),
  known({ label, probability }, { labelSmoothing }) {
    const [seen, mean] = [cleaned(label, labelSmoothing), cleaned(probability, labelSmoothing)];
    // A surer pair than the flips allow has a loss without a minimum.
    return mean > 0 && mean < 1 ? { start: Math.LN2, optimum: crossEntropy(seen, mean) } : null;
  },
};

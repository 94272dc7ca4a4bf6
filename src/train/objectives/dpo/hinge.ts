import { add, maximum, mul } from "../../../graph/ops.js";
import { bothOrders, orderWeights } from "../pairs.js";
import type { DpoLoss } from "./loss.js";

/** max(0, 1 − β·z) (SLiC, Zhao et al. 2023, with DPO's rewards): it learns which side is better, not by how much. */
export const hinge: DpoLoss = {
  description: "max(0, 1 − margin), for hard labels: which side is better, not by how much",
  loss: (z, { beta }) => bothOrders(z, (t) => maximum(add(mul(t, -beta), 1), 0)),
  columns: ({ probability }, _, scale) => orderWeights(probability, scale),
  objection(labels, { labelSmoothing }) {
    if (labelSmoothing > 0) return "hinge has no use for label_smoothing: leave it out, or take another loss";
    return labels === "soft"
      ? "hinge cannot learn from soft labels, how sure they are is lost: take sigmoid, or draw the labels (pairs.labels: drawn)"
      : undefined;
  },
  known: ({ label, probability }) => ({ start: 1, optimum: label >= 0.5 === probability >= 0.5 ? 0 : 2 }),
};

import { mul, reduceSum, sub } from "../../../graph/ops.js";
import { perPair } from "../pairs.js";
import type { DpoLoss } from "./loss.js";

/** (z − target)², our own: the optimum's log-ratios are known in closed form, differing by r_λ's difference / β. */
export const regression: DpoLoss = {
  description: "log-ratio differences onto those of the optimum, which scored pairs give",
  needsTarget: true,
  loss(z) {
    const distance = sub(z, perPair("target"));
    return reduceSum(mul(perPair("likely"), mul(distance, distance)));
  },
  columns: ({ target }, _, scale) => ({ likely: scale, target: target! }),
  known: ({ difference }, { beta }) => ({ start: (difference / beta) ** 2, optimum: 0 }),
};

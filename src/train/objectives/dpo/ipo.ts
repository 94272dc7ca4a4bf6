import { mul, sub } from "../../../graph/ops.js";
import { bothOrders } from "../pairs.js";
import { type DpoLoss, smoothed } from "./loss.js";
import { sigmoid } from "./sigmoid.js";

/**
 * (z − 1/(2β))² on log-ratios per token (Azar et al. 2023; per token as in TRL). The optimum is a bound where samples are
 * in several pairs: (2p − 1)/(2β) is no difference of scores.
 */
export const ipo: DpoLoss = {
  description: "squared distance of the margin per token to 1/(2β)",
  perToken: true,
  loss: (z, { beta }) =>
    bothOrders(z, (t) => {
      const distance = sub(t, 1 / (2 * beta));
      return mul(distance, distance);
    }),
  columns: sigmoid.columns,
  known({ label, probability }, { beta, labelSmoothing }) {
    const aim = 1 / (2 * beta);
    const best = (2 * smoothed(probability, labelSmoothing) - 1) * aim;
    const share = smoothed(label, labelSmoothing);
    return { start: aim ** 2, optimum: share * (best - aim) ** 2 + (1 - share) * (best + aim) ** 2 };
  },
};

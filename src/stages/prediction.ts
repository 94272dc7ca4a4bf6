/** Predictions of a run: what a policy's λ, solved or given, is to gain, with intervals that are computed once. */
import { type Prediction, predictionIntervals } from "../dual/index.js";
import type { RunStore } from "../ports/store.js";

/** λ of a policy, and what the reference's samples say of it. */
export interface Predicted {
  readonly policy: string;
  readonly lambda: readonly number[];
  readonly predicted: Prediction;
}

/** Keeps a prediction with its bootstrap intervals over the training prompts. */
export async function keepPrediction(run: RunStore, { policy, lambda, predicted }: Predicted): Promise<void> {
  const { beta, seed, evaluate } = run.recipe;
  const { bootstrap: replicates, confidence } = evaluate;
  const { rewardGain, safetyGain, kl } = predictionIntervals(predicted, { replicates, confidence, seed });
  await run.setPrediction({
    policy,
    beta,
    lambda,
    rewardGain: predicted.rewardGain,
    rewardLow: rewardGain[0],
    rewardHigh: rewardGain[1],
    safetyGain: predicted.safetyGain,
    safetyLow: safetyGain.map(([low]) => low),
    safetyHigh: safetyGain.map(([, high]) => high),
    kl: predicted.kl,
    klLow: kl[0],
    klHigh: kl[1],
    confidence,
    essMean: predicted.ess.mean,
    essMin: predicted.ess.min,
  });
}

/** How far a training has come by the rows held back, the same for every engine. */
import type { TrainArrival } from "../ports/trainer.js";
import type { GuidedEnd } from "../train/guided.js";
import type { KnownLoss } from "../train/objectives/objective.js";

/** End of a training; of a given length without a known start, that is not known. */
export type TrainingEnd = Omit<GuidedEnd, "event" | "startLoss"> & { readonly startLoss: number | null };

/** Shares of the way from the loss at the start to the optimum's, by the loss on `rows` examples held back. */
export function wayOf(rows: number, known: KnownLoss | null) {
  const length = known ? known.start - known.optimum : 0;
  const share = (loss: number): number | null => (known && length > 0 ? (known.start - loss) / length : null);
  const arrival = (end: TrainingEnd): TrainArrival => ({
    event: "arrival",
    steps: end.steps,
    learning_rate: end.learningRate,
    rows,
    start_loss: end.startLoss,
    loss: end.loss,
    optimum_loss: known?.optimum ?? null,
    share: share(end.loss),
    accuracy: end.metrics["rewards/accuracies"] ?? end.metrics.accuracy ?? null,
    stopped: end.stopped,
  });
  return { share, arrival };
}

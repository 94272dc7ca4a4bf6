/** What an objective is made of: one record each, all of them listed in `table.ts`. */

import type { HostTensor } from "../../graph/data.js";
import type { Tensor } from "../../graph/graph.js";
import type { LengthOptions, Row } from "../../text/rows.js";
import type { Tokenizer } from "../../text/tokenizer.js";

/** One row of training data, as token ids. */
export interface Example {
  readonly prompt: readonly number[];
  /** [completion] for SFT, [chosen, rejected] otherwise. */
  readonly completions: readonly (readonly number[])[];
  /** Probability that chosen is better, 1 where not given. */
  readonly probability?: number;
  /** DPO: the difference of log-ratios ln π/π_ref, chosen minus rejected, that the optimum is known to have. */
  readonly target?: number;
  /** DPO: log-probabilities of chosen and rejected under the reference. */
  readonly reference?: readonly [number, number];
  /** Cost model: whether chosen and rejected are safe. */
  readonly safe?: readonly [boolean, boolean];
  /** Group whose examples are held back together; by default those of one prompt. */
  readonly group?: string;
}

/** A loss at the reference, and at the policy where its mean over drawn labels is least. */
export interface KnownLoss {
  readonly start: number;
  readonly optimum: number;
}

/** Context of a row: what its texts are read with, its name in errors, and how long it may be. */
export interface RowContext {
  readonly tokenizer: Tokenizer;
  /** The row's name in errors ("pairs.jsonl:12"). */
  readonly where: string;
  readonly lengths: LengthOptions;
}

/** An objective: how rows become examples, the loss as a graph, what that is fed, and the figures beside it. */
export interface ObjectiveRecord<O> {
  /** A phrase for the help of `dualign train`. */
  readonly description: string;
  /** What the model gives for every sequence: its completion's log-probability in nats, or a score. */
  readonly values: "logprobs" | "scores";
  /** What the loss of a batch is a mean over, as transformers and TRL average: completion tokens, or examples. */
  readonly mean: "tokens" | "examples";
  /** Whether examples need log-probabilities under the reference. */
  readonly needsReference: boolean;
  /**
   * A row as an example; undefined where it is too long to be learned from.
   * @throws InputError that names the row and the column that is missing or of the wrong kind.
   */
  example(objective: O, row: Row, context: RowContext): Example | undefined;
  /** What the mean loss of examples is known to be; null where it is not, as where nothing says how good their answers are. */
  known(objective: O, examples: readonly Example[]): KnownLoss | null;
  /** The loss as a graph scalar, from the value of every sequence [S]. */
  loss(objective: O, values: Tensor): Tensor;
  /** What `loss` is fed for a batch; `scale` multiplies every example's (for SFT, every token's) part of the loss. */
  feeds(objective: O, examples: readonly Example[], scale: number): Record<string, HostTensor>;
  /** Figures of a batch beside the loss, named as TRL logs them; each is a mean over the examples. */
  metrics(objective: O, examples: readonly Example[], values: ArrayLike<number>): Record<string, number>;
}

/**
 * What the objectives on two completions of a prompt share. With v the value of every sequence, z = pairs · v is the
 * difference of every pair, chosen minus rejected, and the loss is a sum over pairs.
 */
import { InputError } from "../../errors.js";
import { float32, type HostTensor } from "../../graph/data.js";
import type { Tensor } from "../../graph/graph.js";
import { add, input, matmul, mul, neg, reduceSum, reshape } from "../../graph/ops.js";
import type { Row } from "../../text/rows.js";
import type { Example } from "./objective.js";

/** The difference z of every pair [P], from the value of every sequence [S]. */
export function pairDifferences(values: Tensor): Tensor {
  const pairs = input("pairs", "float32", ["P", "S"]);
  return reshape(matmul(pairs, reshape(values, ["S", 1])), ["P"]);
}

/** A number of every pair that a loss is fed [P]. */
export const perPair = (name: string): Tensor => input(name, "float32", ["P"]);

/** Σ likely · ℓ(z) + unlikely · ℓ(−z): a loss ℓ of both orders of every pair. */
export const bothOrders = (z: Tensor, loss: (z: Tensor) => Tensor): Tensor =>
  reduceSum(add(mul(perPair("likely"), loss(z)), mul(perPair("unlikely"), loss(neg(z)))));

/** Weights that `bothOrders` is fed for a pair whose first order has the probability p. */
export const orderWeights = (p: number, scale: number): { likely: number; unlikely: number } => ({
  likely: p * scale,
  unlikely: (1 - p) * scale,
});

/** A vector as a feed. */
export const vector = (values: readonly number[]): HostTensor => float32(values, [values.length]);

/** The feeds of a batch: the matrix of `pairDifferences`, and columns that hold a number for every pair. */
export function pairFeeds(
  examples: readonly Example[],
  columns: readonly Readonly<Record<string, number>>[],
  { perToken = false } = {},
): Record<string, HostTensor> {
  const sequences = 2 * examples.length;
  const pairs = new Float32Array(examples.length * sequences);
  for (const [i, { completions }] of examples.entries()) {
    pairs[i * sequences + 2 * i] = 1 / (perToken ? Math.max(1, completions[0].length) : 1);
    pairs[i * sequences + 2 * i + 1] = -1 / (perToken ? Math.max(1, completions[1].length) : 1);
  }
  return {
    pairs: float32(pairs, [examples.length, sequences]),
    ...Object.fromEntries(Object.keys(columns[0]).map((name) => [name, vector(columns.map((row) => row[name]))])),
  };
}

/** The mean of a figure over the examples of a batch. */
export const meanOver = (examples: readonly Example[], of: (i: number) => number): number =>
  examples.reduce((sum, _, i) => sum + of(i), 0) / examples.length;

/** A row's soft label: how likely `chosen` is the better one. */
export function probabilityOf(row: Row, where: string): number | undefined {
  const p = row.probability;
  if (p === undefined || p === null) return undefined;
  if (typeof p === "number" && p >= 0 && p <= 1) return p;
  throw new InputError(`${where}: "probability" must be a number from 0 to 1, not ${JSON.stringify(p)}`);
}

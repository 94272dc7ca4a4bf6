/**
 * The objectives. All but SFT compare two completions of a prompt, by their log-probabilities (DPO) or by their scores
 * (reward and cost models), so they share one form: with v the value of every sequence and v₀ its reference,
 * z = pairs · (v − v₀), and the loss is Σ a·ℓ(z) + b·ℓ(−z).
 */
import {
  add,
  float32,
  type HostTensor,
  input,
  matmul,
  mul,
  neg,
  reduceSum,
  reshape,
  softplus,
  sub,
  type Tensor,
} from "../graph/index.js";

/** TRL's `loss_type`, and one of our own. */
export type DpoLoss = "sigmoid" | "robust" | "ipo" | "regression";

export type Objective =
  /** −Σ ln π(completion | prompt), a mean over tokens. */
  | { readonly kind: "sft" }
  /**
   * sigmoid: −ln σ(β·Δ), Δ the difference of the pair's log-ratios ln π/π_ref (Rafailov et al. 2023).
   * robust: the same for labels of which a share `labelSmoothing` is known to be flipped (Chowdhury et al. 2024).
   * ipo: (Δ − 1/(2β))² on log-ratios per token (Azar et al. 2023; per token as in TRL).
   * regression: (Δ − target)², where the pair gives the target log-ratio difference r_λ/β (the optimum is known in closed form).
   */
  | { readonly kind: "dpo"; readonly beta: number; readonly lossType: DpoLoss; readonly labelSmoothing: number }
  /** Bradley–Terry: −ln σ(score of chosen − score of rejected). */
  | { readonly kind: "reward" }
  /** Safe-RLHF's cost model: the rejected response costs more, and costs are positive for unsafe, negative for safe ones. */
  | { readonly kind: "cost" };

/** One row of training data, as token ids. */
export interface Example {
  readonly prompt: readonly number[];
  /** [completion] for SFT, [chosen, rejected] otherwise. */
  readonly completions: readonly (readonly number[])[];
  /** Probability that chosen is better, 1 where not given. */
  readonly probability?: number;
  /** DPO by regression: the log-ratio difference that the optimum has. */
  readonly target?: number;
  /** DPO: log-probabilities of chosen and rejected under the reference. */
  readonly reference?: readonly [number, number];
  /** Cost model: whether chosen and rejected are safe. */
  readonly safe?: readonly [boolean, boolean];
}

export const givesScores = (objective: Objective): boolean => objective.kind === "reward" || objective.kind === "cost";

/** The loss as a graph scalar, from the value of every sequence [S]. */
export function lossOf(objective: Objective, values: Tensor): Tensor {
  if (objective.kind === "sft") return neg(reduceSum(mul(values, input("weights", "float32", ["S"]))));
  const shifted = objective.kind === "dpo" ? sub(values, input("reference", "float32", ["S"])) : values;
  const pairs = input("pairs", "float32", ["P", "S"]);
  const z = reshape(matmul(pairs, reshape(shifted, ["S", 1])), ["P"]);
  const [likely, unlikely] = [input("likely", "float32", ["P"]), input("unlikely", "float32", ["P"])];
  const weighted = (loss: (z: Tensor) => Tensor) => reduceSum(add(mul(likely, loss(z)), mul(unlikely, loss(neg(z)))));
  switch (objective.kind) {
    case "reward":
      return weighted((t) => softplus(neg(t)));
    case "cost": {
      // The rejected response is the costlier one: −ln σ(c_rejected − c_chosen) − Σ ln σ(sign · c).
      const signs = mul(values, input("signs", "float32", ["S"]));
      return add(weighted(softplus), reduceSum(mul(softplus(neg(signs)), input("sign_weights", "float32", ["S"]))));
    }
    case "dpo": {
      const { beta, lossType } = objective;
      if (lossType === "sigmoid" || lossType === "robust") return weighted((t) => softplus(mul(t, -beta)));
      if (lossType === "ipo") return weighted((t) => square(sub(t, 1 / (2 * beta))));
      return reduceSum(mul(likely, square(sub(z, input("target", "float32", ["P"])))));
    }
  }
}

const square = (x: Tensor): Tensor => mul(x, x);

/**
 * How likely the two orders of a pair are: label smoothing keeps a share of every label for the other order, the robust
 * loss takes what such a share has brought in out again.
 */
function labelWeights(objective: Objective, { probability = 1 }: Example): [number, number] {
  if (objective.kind !== "dpo") return [probability, 1 - probability];
  if (objective.lossType === "regression") return [1, 0];
  const share = objective.labelSmoothing;
  const p =
    objective.lossType === "robust"
      ? (probability - share) / (1 - 2 * share)
      : probability + share * (1 - 2 * probability);
  return [p, 1 - p];
}

/** What `lossOf` is fed for a batch; `scale` multiplies every pair's (for SFT, every token's) part of the loss. */
export function lossFeeds(
  objective: Objective,
  examples: readonly Example[],
  scale: number,
): Record<string, HostTensor> {
  const sequences = examples.flatMap((e) => e.completions).length;
  const vector = (values: readonly number[]) => float32(values, [values.length]);
  if (objective.kind === "sft") return { weights: vector(examples.flatMap((e) => e.completions.map(() => scale))) };
  const pairs = new Float32Array(examples.length * sequences);
  const perToken = objective.kind === "dpo" && objective.lossType === "ipo";
  for (const [i, { completions }] of examples.entries()) {
    pairs[i * sequences + 2 * i] = 1 / (perToken ? Math.max(1, completions[0].length) : 1);
    pairs[i * sequences + 2 * i + 1] = -1 / (perToken ? Math.max(1, completions[1].length) : 1);
  }
  const labels = examples.map((e) => labelWeights(objective, e));
  const feeds: Record<string, HostTensor> = {
    pairs: float32(pairs, [examples.length, sequences]),
    likely: vector(labels.map(([a]) => a * scale)),
    unlikely: vector(labels.map(([, b]) => b * scale)),
  };
  if (objective.kind === "dpo") feeds.reference = vector(examples.flatMap((e) => [...e.reference!]));
  if (objective.kind === "dpo" && objective.lossType === "regression")
    feeds.target = vector(examples.map((e) => e.target!));
  if (objective.kind === "cost") {
    feeds.signs = vector(examples.flatMap((e) => e.safe!.map((safe) => (safe ? -1 : 1))));
    feeds.sign_weights = vector(examples.flatMap(() => [scale, scale]));
  }
  return feeds;
}

/** Figures of a batch beside the loss, named as TRL logs them; each is a mean over the examples. */
export function metricsOf(
  objective: Objective,
  examples: readonly Example[],
  values: ArrayLike<number>,
): Record<string, number> {
  if (objective.kind === "sft") return {};
  const mean = (f: (i: number) => number) => examples.reduce((sum, _, i) => sum + f(i), 0) / examples.length;
  const [first, second] = [(i: number) => values[2 * i], (i: number) => values[2 * i + 1]];
  if (objective.kind === "dpo") {
    const ratio = (i: number, side: 0 | 1) => objective.beta * (values[2 * i + side] - examples[i].reference![side]);
    return {
      "rewards/chosen": mean((i) => ratio(i, 0)),
      "rewards/rejected": mean((i) => ratio(i, 1)),
      "rewards/accuracies": mean((i) => +(ratio(i, 0) > ratio(i, 1))),
      "rewards/margins": mean((i) => ratio(i, 0) - ratio(i, 1)),
      "logps/chosen": mean(first),
      "logps/rejected": mean(second),
    };
  }
  const better = objective.kind === "cost" ? -1 : 1;
  const metrics: Record<string, number> = {
    accuracy: mean((i) => +(better * first(i) > better * second(i))),
    margin: mean((i) => better * (first(i) - second(i))),
  };
  if (objective.kind === "cost")
    metrics.sign_accuracy = mean(
      (i) => (+(first(i) < 0 === examples[i].safe![0]) + +(second(i) < 0 === examples[i].safe![1])) / 2,
    );
  return metrics;
}

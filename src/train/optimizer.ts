/** AdamW on one flat vector, clipping by norm, and the learning-rate schedules of transformers. */

/** Options of AdamW, named as in PyTorch. */
export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
}

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019), as torch.optim.AdamW. */
export class AdamW {
  readonly mean: Float32Array;
  readonly variance: Float32Array;
  steps = 0;

  constructor(
    readonly size: number,
    private readonly options: AdamWOptions,
    /** Whether weight decay pulls on the element at this place; undefined: on all. */
    private readonly decays?: Uint8Array,
  ) {
    this.mean = new Float32Array(size);
    this.variance = new Float32Array(size);
  }

  /** Changes `parameters` in place; every gradient element is multiplied by `gradientScale` first. */
  step(parameters: Float32Array, gradient: Float32Array, learningRate: number, gradientScale = 1): void {
    const { beta1, beta2, epsilon, weightDecay } = this.options;
    const { mean, variance, decays } = this;
    this.steps++;
    const rate = learningRate / (1 - beta1 ** this.steps);
    const correction = 1 / Math.sqrt(1 - beta2 ** this.steps);
    const keep = 1 - learningRate * weightDecay;
    for (let i = 0; i < parameters.length; i++) {
      const g = gradient[i] * gradientScale;
      mean[i] = beta1 * mean[i] + (1 - beta1) * g;
      variance[i] = beta2 * variance[i] + (1 - beta2) * g * g;
      const kept = decays === undefined || decays[i] ? parameters[i] * keep : parameters[i];
      parameters[i] = kept - (rate * mean[i]) / (Math.sqrt(variance[i]) * correction + epsilon);
    }
  }
}

/** Euclidean norm of a vector. */
export function norm(vector: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += vector[i] * vector[i];
  return Math.sqrt(sum);
}

/** Factor that brings a gradient of this norm down to `maxNorm` (as PyTorch clips; 0: no limit). */
export const clipFactor = (gradientNorm: number, maxNorm: number): number =>
  maxNorm > 0 ? Math.min(1, maxNorm / (gradientNorm + 1e-6)) : 1;

/** Schedule of the learning rate, named as in transformers. */
export type Schedule = "constant" | "constant_with_warmup" | "linear" | "cosine";

/** The share of the learning rate at a step (from 0), as in transformers' `get_scheduler`. */
export function scheduleFactor(schedule: Schedule, step: number, steps: number, warmupSteps: number): number {
  if (schedule === "constant") return 1;
  if (step < warmupSteps) return step / Math.max(1, warmupSteps);
  if (schedule === "constant_with_warmup") return 1;
  const progress = (step - warmupSteps) / Math.max(1, steps - warmupSteps);
  return schedule === "linear" ? Math.max(0, 1 - progress) : Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
}

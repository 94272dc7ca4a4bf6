import { describe, expect, test } from "vitest";
import { readHeader, readTensor } from "../../src/files/safetensors.js";
import { ParameterLayout } from "../../src/models/parameters.js";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { ascendMultiplier, estimateAdvantages, lagrangianAdvantages, tokenScores } from "../../src/train/ppo.js";
import { PpoGraph, type PpoNetwork, type Rollout, VALUE_BIAS, VALUE_WEIGHT } from "../../src/train/ppoGraph.js";
import { golden, goldenJson } from "../models/golden.js";
import { difference } from "../numbers.js";
import { lora, type Setup } from "./golden.js";

const runtime = onnxRuntime({ threads: 1 });

/** As oracles/ppo.py writes it; lists of three are the reward's and two costs'. */
const expected = goldenJson<{
  readonly options: {
    readonly klCoefficient: number;
    readonly gamma: number;
    readonly gaeLambda: number;
    readonly clipRatio: number;
    readonly clipValue: number;
    readonly clipScore: number;
    readonly multipliers: readonly number[];
  };
  readonly rollouts: readonly Rollout[];
  readonly episodes: readonly {
    readonly logprobs: readonly number[];
    readonly old: readonly number[];
    readonly reference: readonly number[];
    readonly scores: readonly number[];
    readonly values: readonly (readonly number[])[];
    readonly tokens: readonly (readonly number[])[];
    readonly advantages: readonly (readonly number[])[];
    readonly combined: readonly number[];
  }[];
  readonly policyLoss: number;
  readonly critic: {
    readonly bias: number;
    readonly episodes: readonly { readonly values: number[]; readonly old: number[]; readonly returns: number[] }[];
    readonly loss: number;
  };
}>("train/ppo.json");
const { options, rollouts, episodes, critic } = expected;

const load = ({ model, trainable }: Setup, kind: PpoNetwork, clip: number, chunks = 1, checkpointing = false) =>
  PpoGraph.load(runtime, kind, model, trainable, { maxLength: 32, chunks, checkpointing, clip });

describe("as PyTorch", () => {
  test("scores of tokens, advantages and returns, with the KL penalty on both sides", () => {
    for (const { old, reference, scores, values, tokens, advantages, combined } of episodes) {
      const found = scores.map((score, j) => {
        const coefficient = (j === 0 ? -0.5 : 0.5) * options.klCoefficient;
        const ours = tokenScores(score, old, reference, coefficient, options.clipScore);
        expect(difference(ours, tokens[j])).toBeLessThan(1e-12);
        const { gamma, gaeLambda: lambda } = options;
        const estimate = estimateAdvantages(ours, values[j], { gamma, lambda });
        expect(difference(estimate.advantages, advantages[j])).toBeLessThan(1e-12);
        const returns = advantages[j].map((a, t) => a + values[j][t]);
        expect(difference(estimate.returns, returns)).toBeLessThan(1e-12);
        return estimate.advantages;
      });
      const [reward, ...costs] = found;
      expect(difference(lagrangianAdvantages(reward, costs, options.multipliers), combined)).toBeLessThan(1e-12);
    }
  });

  test.each([
    ["in one part", 1, false],
    ["in three parts, layers computed again", 3, true],
  ])("the policy's loss and gradient, %s", async (_, chunks, checkpointing) => {
    const setup = await lora("models/llama", "lora");
    const graph = await load(setup, "policy", options.clipRatio, chunks, checkpointing);
    const targets = episodes.map(({ old, combined }) => ({ old, target: combined }));
    const { values } = await graph.evaluate(setup.values, rollouts);
    const step = await graph.differentiate(setup.values, rollouts, targets, 1 / rollouts.length);
    await graph.release();
    for (const [i, { logprobs }] of episodes.entries()) {
      expect(difference(values[i], logprobs)).toBeLessThan(1e-5);
      expect(difference(step.values[i], logprobs)).toBeLessThan(1e-5);
    }
    expect(step.loss / expected.policyLoss).toBeCloseTo(1, 5);
    expectGradient(setup, step.gradient, "ppo-policy", (name) => `base_model.model.${name}`);
    // Two responses share a prompt, which is computed once.
    expect(step.tokens).toBe(4 + 6 + 4 + 7 + 1 + 3 + 9);
  });

  test("a critic's loss and gradient", async () => {
    const setup = await criticSetup();
    const graph = await load(setup, "critic", options.clipValue);
    const targets = critic.episodes.map(({ old, returns }) => ({ old, target: returns }));
    const step = await graph.differentiate(setup.values, rollouts, targets, 1 / rollouts.length);
    await graph.release();
    for (const [i, { values }] of critic.episodes.entries())
      expect(difference(step.values[i], values)).toBeLessThan(1e-5);
    expect(step.loss / critic.loss).toBeCloseTo(1, 5);
    const named: Record<string, string> = { [VALUE_WEIGHT]: "base_model.model.score.weight", [VALUE_BIAS]: "bias" };
    expectGradient(setup, step.gradient, "ppo-critic", (name) => named[name] ?? `base_model.model.${name}`);
  });
});

/** The golden score model's adapter, its head as a critic's. */
async function criticSetup(): Promise<Setup> {
  const { model, trainable, values } = await lora("scores/llama", "lora-score");
  const names: Record<string, string> = { "score.weight": VALUE_WEIGHT };
  const layout = new ParameterLayout([
    ...trainable.layout.entries.map(({ name, shape }) => ({ name: names[name] ?? name, shape })),
    { name: VALUE_BIAS, shape: [1] },
  ]);
  return { model, trainable: { ...trainable, layout }, values: Float32Array.from([...values, critic.bias]) };
}

function expectGradient(
  { trainable: { layout } }: Setup,
  gradient: Float32Array,
  file: string,
  theirs: (name: string) => string,
): void {
  const stored = readHeader(golden(`train/${file}.safetensors`));
  expect(stored.size).toBe(layout.entries.length);
  for (const { name } of layout.entries)
    expect(difference(layout.view(gradient, name), readTensor(stored.get(theirs(name))!), 0), name).toBeLessThan(1e-4);
}

test("λ follows the gradient in ln λ: up while the cost is over its limit, down below it, never past its bound", () => {
  const at = (lambda: number, excess: number) => Math.exp(ascendMultiplier(Math.log(lambda), excess, 0.1, 5));
  expect(at(2, 0.5)).toBeCloseTo(2 * Math.exp(0.1 * 2 * 0.5), 12);
  expect(at(2, -0.5)).toBeCloseTo(2 * Math.exp(-0.1 * 2 * 0.5), 12);
  expect(at(2, 0)).toBeCloseTo(2, 12);
  expect(at(4.9, 3)).toBeCloseTo(5, 12);
});

/**
 * A toy world whose response space is enumerable: eight responses, one distribution for every prompt. The "adapter" is a
 * file of logits, and DPO on it is exact, so the constrained optimum can be checked against its closed form.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type MocanRecipe, parseRecipe } from "../../src/algorithms/recipe.js";
import type { DpoJob, Policy, SampledResponse, Tools, TrainStep } from "../../src/algorithms/stages.js";
import { Random } from "../../src/random.js";

export const responses = ["a", "b", "c", "d", "e", "f", "g", "h"];
export const referenceLogits = [0.5, 0.2, 0, -0.1, 0.3, -0.4, 0.1, -0.2];
export const rewards = [1.0, 0.6, 0.4, 0.0, -0.2, 0.3, -0.5, 0.1];
export const safeties = [-1.2, -0.5, 0.3, 0.8, 1.0, -0.1, 0.6, 0.2];

export function softmax(logits: readonly number[]): number[] {
  const top = Math.max(...logits);
  const weights = logits.map((value) => Math.exp(value - top));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((value) => value / sum);
}

export interface ToyOptions {
  /** Milliseconds between rows, for tests that stop a run in its middle. */
  delay?: number;
  trainSteps?: number;
  /** Hears of every row that is made. */
  onRow?: (row: string) => void;
  score?: (scorer: string, row: SampledResponse) => number;
}

export function toyRecipe(more = ""): MocanRecipe {
  return parseRecipe(
    `model: toy
prompts: { file: toy.jsonl, held_out: 40, limit: 32 }
beta: 1
sampling: { num_samples: 48 }
reward: { model: reward }
safety: [{ name: harmless, model: safety, margin: 0.3 }]
pairs: { per_prompt: 16 }
evaluate: { num_samples: 48 }
${more}`,
    { source: "toy.yaml" },
  ) as MocanRecipe;
}

export function toyTools({ delay = 0, trainSteps = 60, onRow = () => {}, score }: ToyOptions = {}): Tools {
  const pause = () => (delay > 0 ? new Promise((resolve) => setTimeout(resolve, delay)) : undefined);
  const scoreOf =
    score ?? ((scorer, { response }) => (scorer === "reward" ? rewards : safeties)[responses.indexOf(response)]);
  return {
    async readPrompts() {
      return Array.from({ length: 72 }, (_, i) => `prompt ${i}`);
    },
    async openPolicy({ adapter }) {
      return toyPolicy(adapter ? readLogits(adapter)! : referenceLogits, pause, onRow);
    },
    async openScorer(spec) {
      return {
        async *score(rows) {
          for (const [index, row] of rows.entries()) {
            await pause();
            onRow(`score ${spec.name} ${row.prompt} ${index}`);
            yield { index, value: scoreOf(spec.name, row) };
          }
        },
        async close() {},
      };
    },
    trainDpo: (job) => train(job, trainSteps, pause, onRow),
    readPreferences: unused,
    trainPreferences: unused,
    openJudge: unused,
    async writeReport(run) {
      return join(run.path, "report.html");
    },
  };
}

function unused(): never {
  throw new Error("not asked for here");
}

function draw(probabilities: readonly number[], uniform: number): number {
  let k = 0;
  for (let left = uniform - probabilities[0]; left >= 0; left -= probabilities[k]) k++;
  return k;
}

function toyPolicy(
  logits: readonly number[],
  pause: () => Promise<unknown> | undefined,
  onRow: (row: string) => void,
): Policy {
  const probabilities = softmax(logits);
  return {
    hasChatTemplate: false,
    async *sample(jobs, { seed }) {
      for (const { promptIndex, sampleIndexes } of jobs)
        for (const sampleIndex of sampleIndexes) {
          await pause();
          const k = draw(probabilities, new Random(seed, promptIndex, sampleIndex).uniform());
          onRow(`sample ${promptIndex} ${sampleIndex}`);
          yield {
            promptIndex,
            sampleIndex,
            response: responses[k],
            responseIds: [k],
            logprob: Math.log(probabilities[k]),
            finishReason: "stop",
          };
        }
    },
    async *logprobs(rows) {
      for (const [index, { responseIds }] of rows.entries())
        yield { index, value: Math.log(probabilities[responseIds[0]]) };
    },
    async close() {},
  };
}

/** DPO by gradient descent on the logits, checkpointed after every step. */
async function* train(
  { pairs, beta, outputDir }: DpoJob,
  steps: number,
  pause: () => Promise<unknown> | undefined,
  onRow: (row: string) => void,
): AsyncGenerator<TrainStep> {
  mkdirSync(outputDir, { recursive: true });
  let logits = readLogits(outputDir) ?? [...referenceLogits];
  const start = existsSync(join(outputDir, "step")) ? Number(readFileSync(join(outputDir, "step"), "utf8")) : 0;
  for (let step = start + 1; step <= steps; step++) {
    await pause();
    const gradient = logits.map(() => 0);
    let loss = 0;
    for (const { chosen, rejected, probability } of pairs) {
      const [c, r] = [chosen.responseIds[0], rejected.responseIds[0]];
      const margin = beta * (logits[c] - logits[r] - (referenceLogits[c] - referenceLogits[r]));
      const p = 1 / (1 + Math.exp(-margin));
      loss -= (probability * Math.log(p) + (1 - probability) * Math.log(1 - p)) / pairs.length;
      gradient[c] += (beta * (p - probability)) / pairs.length;
      gradient[r] -= (beta * (p - probability)) / pairs.length;
    }
    logits = logits.map((value, k) => value - 12 * gradient[k]);
    writeFileSync(join(outputDir, "logits.new"), JSON.stringify(logits));
    renameSync(join(outputDir, "logits.new"), join(outputDir, "logits.json"));
    writeFileSync(join(outputDir, "step"), String(step));
    onRow(`step ${step}`);
    yield { step, steps, loss, learning_rate: 12, grad_norm: Math.hypot(...gradient), "rewards/margins": 0 };
  }
}

function readLogits(folder: string): number[] | undefined {
  const file = join(folder, "logits.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}

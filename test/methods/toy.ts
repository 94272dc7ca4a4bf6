/**
 * A toy world whose response space is enumerable: eight responses, one distribution for every prompt. The "adapter" is a
 * file of logits, and DPO on it is exact, so the constrained optimum can be checked against its closed form.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseRecipe } from "../../src/methods/recipe.js";
import type { Enumerator, GivenResponse, Logprobs, PolicyRef, Sampler } from "../../src/ports/policy.js";
import type { PairsJob, PpoJob, PreferencePair, Trainer, TrainingEvent, TrainingJob } from "../../src/ports/trainer.js";
import type { World } from "../../src/ports/world.js";
import { Random } from "../../src/random.js";
import type { MocanRecipe, PecanRecipe } from "../../src/recipe/parse.js";

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
  /** Prompts of the file, 72 by default. */
  prompts?: number;
  trainSteps?: number;
  /** Learning rate, 12 by default. */
  rate?: number;
  /** Hears of every row that is made. */
  onRow?: (row: string) => void;
  score?: (scorer: string, row: GivenResponse) => number;
  /** The preferences of a source, by its label column. */
  preferences?: (label: string | undefined) => PreferencePair[];
  openJudge?: World["openJudge"];
  tokensPerStep?: number;
  flopsPerToken?: number;
}

export function toyRecipe(more = "", confidence: number | "none" = "none"): MocanRecipe {
  return parseRecipe(
    `model: toy
prompts: { file: toy.jsonl, held_out: 40, limit: 32 }
beta: 1
sampling: { num_samples: 48 }
reward: { model: reward }
safety: [{ name: harmless, model: safety, margin: 0.3 }]
pairs: { per_prompt: 16 }
evaluate: { num_samples: 48 }
confidence: ${confidence}
${more}`,
    { source: "toy.yaml" },
  ) as MocanRecipe;
}

export function toyPecanRecipe(more = "", confidence: number | "none" = "none"): PecanRecipe {
  return parseRecipe(
    `model: toy
prompts: { file: toy.jsonl, held_out: 40, limit: 32 }
beta: 1
sampling: { num_samples: 48 }
helpfulness: { file: toy-preferences.jsonl }
safety: [{ name: harmless, file: toy-preferences.jsonl, margin: 0.3 }]
pairs: { per_prompt: 16 }
evaluate: { num_samples: 48 }
confidence: ${confidence}
${more}`,
    { source: "toy.yaml", method: "pecan" },
  ) as PecanRecipe;
}

/** Each two responses, preferred as often as Bradley–Terry has it with these scores. */
export function toyPreferences(scores: readonly number[], prompts = ["prompt of the preferences"]): PreferencePair[] {
  const rows = 40;
  return prompts.flatMap((prompt) =>
    responses.flatMap((first, a) =>
      responses.slice(a + 1).flatMap((second, k) => {
        const wins = Math.round(rows / (1 + Math.exp(scores[a + 1 + k] - scores[a])));
        return Array.from({ length: rows }, (_, i) =>
          i < wins ? { prompt, chosen: first, rejected: second } : { prompt, chosen: second, rejected: first },
        );
      }),
    ),
  );
}

export function toyWorld(options: ToyOptions = {}): World {
  const { delay = 0, trainSteps = 60, onRow = () => {}, score, preferences, openJudge = unused } = options;
  const { tokensPerStep, flopsPerToken } = options;
  const pause = () => (delay > 0 ? new Promise((resolve) => setTimeout(resolve, delay)) : undefined);
  const scoreOf =
    score ?? ((scorer, { response }) => (scorer === "reward" ? rewards : safeties)[responses.indexOf(response)]);
  const logitsOf = (
    { adapter, from, strength = 1 }: PolicyRef,
    trained = adapter ? readLogits(adapter)! : referenceLogits,
  ) => {
    const start = from?.adapter ? readLogits(from.adapter)! : referenceLogits;
    return strength === 1 ? trained : trained.map((value, k) => start[k] + strength * (value - start[k]));
  };
  const open = async (ref: PolicyRef) => ({ ...toyPolicy(logitsOf(ref), pause, onRow), flopsPerToken });
  const more = { steps: trainSteps, rate: options.rate ?? 12, tokens: tokensPerStep, pause, onRow };
  return {
    async readPrompts() {
      return Array.from({ length: options.prompts ?? 72 }, (_, i) => ({ prompt: `prompt ${i}` }));
    },
    openSampler: open,
    openLogprobs: open,
    openEnumerator: open,
    async openScorer(spec) {
      return {
        flopsPerToken,
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
    async readPreferences({ label }) {
      return (preferences ?? toyPreferencesBy)(label);
    },
    async openTrainer() {
      return {
        objectives: ["dpo"],
        train(job) {
          const { outputDir } = job;
          if (job.kind === "pairs") {
            const regression = job.options.loss_type === "regression";
            const pairs = job.pairs.map(({ chosen, rejected, probability, target }) => ({
              chosen: chosen.responseIds[0],
              rejected: rejected.responseIds[0],
              probability,
              target: regression ? target : undefined,
            }));
            return train(pairs, { beta: job.beta, outputDir, ...more });
          }
          if (job.kind === "ppo_lagrangian") throw new Error("not asked for here");
          const pairs = job.rows.map(({ row }) => ({
            chosen: responses.indexOf(row.chosen as string),
            rejected: responses.indexOf(row.rejected as string),
            probability: 1,
          }));
          const { adapter } = job.reference;
          const from = adapter === undefined ? referenceLogits : readLogits(adapter)!;
          return train(pairs, { from, beta: job.beta!, outputDir, ...more });
        },
        async close() {},
      };
    },
    async writeAtStrength(ref) {
      const file = join(ref.adapter!, "as_trained.json");
      if (!existsSync(file)) writeFileSync(file, JSON.stringify(readLogits(ref.adapter!)));
      const trained = JSON.parse(readFileSync(file, "utf8"));
      writeFileSync(join(ref.adapter!, "logits.json"), JSON.stringify(logitsOf(ref, trained)));
    },
    openJudge,
    async writeReport(run) {
      return join(run.path, "report.html");
    },
  };
}

/** The world with another training, which may go on to the toy's own by `next`. */
export function trainingBy(
  world: World,
  train: (job: TrainingJob, next: Trainer["train"]) => AsyncIterable<TrainingEvent>,
  objectives: Trainer["objectives"] = ["dpo"],
): World {
  return {
    ...world,
    async openTrainer() {
      const trainer = await world.openTrainer();
      return { ...trainer, objectives, train: (job) => train(job, (one) => trainer.train(one)) };
    },
  };
}

/** A job that leaves the reference's logits as they are in the folder of another job. */
export const adapterOnly = ({ reference, beta, seed, outputDir }: PpoJob): TrainingJob => ({
  ...{ reference, beta, seed, outputDir, pairs: [], resume: true },
  kind: "pairs",
  objective: "dpo",
  options: {} as PairsJob["options"],
});

const toyPreferencesBy = (label: string | undefined) =>
  toyPreferences(label === "better_response_id" ? rewards : safeties);

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
): Sampler & Logprobs & Enumerator {
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
      for (const [index, { prompt, responseIds }] of rows.entries()) {
        await pause();
        onRow(`weigh ${prompt} ${index}`);
        yield { index, value: Math.log(probabilities[responseIds![0]]) };
      }
    },
    enumerate: (_prompt, _maxNewTokens, most) => ({
      total: responses.length,
      responses:
        responses.length > most
          ? undefined
          : responses.map((response, k) => ({ response, responseIds: [k], finishReason: "stop" })),
    }),
    async close() {},
  };
}

interface ToyPair {
  chosen: number;
  rejected: number;
  probability: number;
  /** Of the log-ratio difference; without it the loss is DPO's. */
  target?: number;
}

interface ToyTraining {
  /** Logits of the reference. */
  from?: readonly number[];
  beta: number;
  outputDir: string;
  steps: number;
  rate: number;
  tokens?: number;
  pause: () => Promise<unknown> | undefined;
  onRow: (row: string) => void;
}

/** DPO, or the regression, by gradient descent on the logits, checkpointed after every step. */
async function* train(
  pairs: readonly ToyPair[],
  { from = referenceLogits, beta, outputDir, steps, rate, tokens, pause, onRow }: ToyTraining,
): AsyncGenerator<TrainingEvent> {
  mkdirSync(outputDir, { recursive: true });
  let logits = readLogits(outputDir) ?? [...from];
  const start = existsSync(join(outputDir, "step")) ? Number(readFileSync(join(outputDir, "step"), "utf8")) : 0;
  for (let step = start + 1; step <= steps; step++) {
    await pause();
    const gradient = logits.map(() => 0);
    let loss = 0;
    for (const { chosen: c, rejected: r, probability, target } of pairs) {
      const ratio = logits[c] - logits[r] - (from[c] - from[r]);
      const p = 1 / (1 + Math.exp(-beta * ratio));
      // A quarter of the squared error has the curvature of the logistic loss at β = 1.
      const slope = target === undefined ? beta * (p - probability) : (ratio - target) / 4;
      loss +=
        (target === undefined
          ? -probability * Math.log(p) - (1 - probability) * Math.log(1 - p)
          : (ratio - target) ** 2) / pairs.length;
      gradient[c] += slope / pairs.length;
      gradient[r] -= slope / pairs.length;
    }
    logits = logits.map((value, k) => value - rate * gradient[k]);
    writeFileSync(join(outputDir, "logits.new"), JSON.stringify(logits));
    renameSync(join(outputDir, "logits.new"), join(outputDir, "logits.json"));
    writeFileSync(join(outputDir, "step"), String(step));
    onRow(`step ${step}`);
    const grad_norm = Math.hypot(...gradient);
    yield {
      event: "step",
      step,
      steps,
      loss,
      learning_rate: rate,
      grad_norm,
      ...(tokens && { tokens, flops: 20 * tokens }),
      "rewards/margins": 0,
    };
  }
}

function readLogits(folder: string): number[] | undefined {
  const file = join(folder, "logits.json");
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
}

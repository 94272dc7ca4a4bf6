/** Runs for the studio's tests, and its page built from the sources as they are. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type RecipeInput, runRecipe } from "../../src/index.js";
import { runMethod } from "../../src/methods/methods.js";
import { startRun } from "../../src/store/runFolder.js";
import { type Studio, startStudio } from "../../src/studio/server.js";
import { toyRecipe, toyWorld } from "../methods/toy.js";
import { hostile } from "../report/fixture.js";

const pocket = fileURLToPath(new URL("../../pocket/", import.meta.url));

/** Recipe of the pocket model in the smallest run that is trained. */
const recipe = {
  model: "./policy",
  prompts: { file: "./prompts.jsonl", limit: 12, held_out: 6 },
  beta: 1,
  confidence: 0.9,
  sampling: { num_samples: 8, max_new_tokens: 24 },
  reward: { model: "./reward", max_length: 128 },
  safety: [{ name: "harmless", model: "./cost", sign: -1, margin: 0.2, max_length: 128 }],
  pairs: { per_prompt: 4 },
  train: { learning_rate: 1e-3, num_train_epochs: 1, per_device_train_batch_size: 4 },
  evaluate: { num_samples: 2, scorers: [{ name: "harm", module: "./harm.mjs", sign: -1 }] },
} satisfies RecipeInput;

/** Folder with a trained run `trained`, and a scored one `toys/hostile` whose texts are markup. */
export async function studioRuns(): Promise<{ folder: string; remove(): void }> {
  const folder = mkdtempSync(join(tmpdir(), "dualign-studio-"));
  await runRecipe(recipe, { folder: join(folder, "trained"), base: pocket });
  const world = toyWorld();
  const run = await startRun(join(folder, "toys", "hostile"), { recipe: toyRecipe(), recipeText: "", versions: {} });
  await runMethod(
    {
      run,
      emit: () => {},
      world: {
        ...world,
        async openSampler(ref) {
          const sampler = await world.openSampler(ref);
          return {
            ...sampler,
            close: () => sampler.close(),
            async *sample(jobs, options) {
              for await (const one of sampler.sample(jobs, options)) yield { ...one, response: one.response + hostile };
            },
          };
        },
        async openScorer(spec) {
          const scorer = await world.openScorer(spec);
          return {
            close: () => scorer.close(),
            score: (rows) =>
              scorer.score(rows.map((row) => ({ ...row, response: row.response.slice(0, -hostile.length) }))),
          };
        },
      },
    },
    ["sample", "score"],
  );
  await run.close();
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Page built into a folder of its own. */
export async function builtPage(): Promise<{ page: string; remove(): void }> {
  const page = mkdtempSync(join(tmpdir(), "dualign-studio-page-"));
  const script = pathToFileURL(fileURLToPath(new URL("../../scripts/build-studio.mjs", import.meta.url))).href;
  const { buildStudio } = (await import(script)) as { buildStudio(outDir: string): Promise<void> };
  await buildStudio(page);
  return { page, remove: () => rmSync(page, { recursive: true, force: true }) };
}

/** Studio on a folder, on any port that is free. */
export const openStudio = (folder: string, page: string): Promise<Studio> =>
  startStudio({ folder, page, port: 0, device: "cpu" });

/** Browser of the machine; undefined where there is none. */
export const chromiumPath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(
  existsSync,
);

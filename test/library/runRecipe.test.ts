import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { InfeasibleError, InputError, openRun, type RecipeInput, type RunEvent, runRecipe } from "../../src/index.js";

const pocket = fileURLToPath(new URL("../../pocket/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-library-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const recipe = {
  model: "./policy",
  prompts: { file: "./prompts.jsonl", limit: 8, held_out: 4 },
  beta: 1,
  sampling: { num_samples: 4, max_new_tokens: 16 },
  reward: { model: "./reward", max_length: 128 },
  safety: [{ name: "harmless", model: "./cost", sign: -1, margin: 0.2, max_length: 128 }],
  pairs: { per_prompt: 4 },
  train: { learning_rate: 1e-3, per_device_train_batch_size: 4, save_steps: 2 },
  evaluate: { num_samples: 1 },
} satisfies RecipeInput;
const adapter = (name: string) => readFileSync(join(folder, name, "aligned", "adapter_model.safetensors"));

test("a recipe as data runs to its report, stopped by a signal and gone on with as without", async () => {
  const events: RunEvent[] = [];
  const whole = { folder: join(folder, "whole"), base: pocket, onEvent: (event: RunEvent) => void events.push(event) };
  const done = await runRecipe(recipe, whole);
  expect(done).toEqual(events.at(-1));
  expect(done).toMatchObject({ event: "done", verdicts: [{ constraint: "harmless", margin: 0.2 }] });

  const controller = new AbortController();
  const reason = new Error("enough");
  const stopped = runRecipe(recipe, {
    folder: join(folder, "stopped"),
    base: pocket,
    signal: controller.signal,
    onEvent: (event) => {
      if (event.event === "step" && event.step === 3) controller.abort(reason);
    },
  });
  await expect(stopped).rejects.toBe(reason);
  // The run was closed: it can be read, and its samples are there.
  const run = await openRun(join(folder, "stopped"));
  expect(await run.samples("reference", "train")).toHaveLength(8 * 4);
  expect(await run.isDone("train")).toBe(false);
  await run.close();

  const after = await runRecipe(recipe, { folder: join(folder, "stopped"), base: pocket });
  expect(after).toMatchObject({ verdicts: (done as { verdicts: unknown }).verdicts });
  expect(adapter("stopped").equals(adapter("whole"))).toBe(true);
});

test("stages alone, settings, and a margin out of reach", async () => {
  const options = { folder: join(folder, "stages"), base: pocket, set: ["safety.0.margin=50"] };
  expect(await runRecipe(recipe, { ...options, stages: ["sample"] })).toBeUndefined();
  const beyond = runRecipe(recipe, options);
  await expect(beyond).rejects.toBeInstanceOf(InfeasibleError);
  await expect(beyond).rejects.toMatchObject({ exitCode: 3 });
});

test("a mistake in a recipe as data names its key, and no line of a file that there is not", async () => {
  const wrong = { ...recipe, beta: -1 };
  const failed = runRecipe(wrong, { folder: join(folder, "wrong"), base: pocket });
  await expect(failed).rejects.toBeInstanceOf(InputError);
  await expect(failed).rejects.toThrow(/^recipe: 'beta'/);
});

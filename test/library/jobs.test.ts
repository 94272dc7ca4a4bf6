import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import {
  type CommandEvent,
  computeLogprobs,
  generateResponses,
  InputError,
  scoreResponses,
  trainModel,
} from "../../src/index.js";

const pocket = fileURLToPath(new URL("../../pocket/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-jobs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string) => join(folder, name);
const rowsOf = (name: string): Record<string, unknown>[] =>
  readFileSync(file(name), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

const model = `${pocket}policy`;

test("responses, their log-probabilities and their scores go from file to file", async () => {
  writeFileSync(file("prompts.jsonl"), '{"prompt":"How do I bake bread?"}\n{"prompt":"How do I learn chess?"}\n');
  const sampling = { num_samples: 2, max_new_tokens: 48 };
  const output = file("samples.jsonl");
  await generateResponses({ model, data: file("prompts.jsonl"), output, chat: true, sampling, seed: 3 });
  const samples = rowsOf("samples.jsonl");
  expect(samples).toHaveLength(4);

  // The same model gives the responses the log-probabilities that they were drawn with; these ended by themselves.
  await computeLogprobs({ model, data: output, output: file("logprobs.jsonl"), chat: true });
  const found = rowsOf("logprobs.jsonl");
  expect(samples.map(({ finish_reason }) => finish_reason)).toEqual(["stop", "stop", "stop", "stop"]);
  for (const [i, { logprob }] of samples.entries()) expect(found[i].logprob).toBeCloseTo(logprob as number, 3);

  writeFileSync(file("length.mjs"), "export default (rows) => rows.map(({ response }) => response.length);");
  await scoreResponses({ module: file("length.mjs"), data: output, output: file("scores.jsonl") });
  expect(rowsOf("scores.jsonl").map(({ score }) => score)).toEqual(
    samples.map(({ response }) => (response as string).length),
  );
});

test("a training gives its steps as events, and its figures in the end", async () => {
  const rows = [1, 2, 3, 4].map(() => ({ prompt: "How do I bake bread?", chosen: "Sure.", rejected: "Sorry." }));
  writeFileSync(file("pairs.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const events: CommandEvent[] = [];
  const result = await trainModel({
    objective: "dpo",
    model,
    data: file("pairs.jsonl"),
    outputDir: file("adapter"),
    chat: true,
    options: { per_device_train_batch_size: 2, learning_rate: 1e-3 },
    onEvent: (event) => events.push(event),
  });
  const steps = events.filter(({ event }) => event === "step") as { loss: number }[];
  expect(steps.map(({ loss }) => loss < Math.LN2 + 1e-4)).toEqual([true, true]);
  expect(result).toMatchObject({ output_dir: file("adapter"), rows: 4 });
  expect(JSON.parse(readFileSync(join(folder, "adapter", "adapter_config.json"), "utf8"))).toMatchObject({ r: 8 });
});

test("a mistake in the options names the key", async () => {
  const job = { objective: "sft", model, data: file("pairs.jsonl"), outputDir: file("none") } as const;
  const failed = trainModel({ ...job, options: { learning_rate: -1 } });
  await expect(failed).rejects.toBeInstanceOf(InputError);
  await expect(failed).rejects.toThrow(/'learning_rate'/);
  await expect(scoreResponses({ data: "x", output: "y" })).rejects.toBeInstanceOf(InputError);
});

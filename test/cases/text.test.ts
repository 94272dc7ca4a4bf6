/** Cases of ../shared/cases whose fault lay between text and scores; right values from transformers 5.23 and TRL 1.16. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runGenerate } from "../../src/cli/jobs/generate.js";
import { runLogprobs } from "../../src/cli/jobs/logprobs.js";
import { runScore } from "../../src/cli/jobs/score.js";
import { runTrainCommand } from "../../src/cli/jobs/train.js";
import type { CommandEvent } from "../../src/cli/progress.js";
import { InputError } from "../../src/errors.js";
import { samplingSchema, trainingSchema } from "../../src/recipe/options.js";

const models = fileURLToPath(new URL("../../../shared/cases/models", import.meta.url));
const data = fileURLToPath(new URL("../../../shared/cases/data", import.meta.url));
let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "cases-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function all(events: AsyncIterable<CommandEvent>): Promise<CommandEvent[]> {
  const found: CommandEvent[] = [];
  for await (const event of events) found.push(event);
  return found;
}

const output = () => join(folder, "out.jsonl");
const column = (name: string): number[] =>
  readFileSync(output(), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line)[name]);
const job = (model: string, file: string) => ({
  model: { model: join(models, model) },
  source: { file: join(models, file) },
  output: output(),
  device: "cpu" as const,
});

async function scores(model: string, file: string, chat = false) {
  const scorer = {
    kind: "model" as const,
    name: "score",
    model: join(models, model),
    sign: 1 as const,
    scale: 1,
    max_length: 512,
  };
  const events = await all(runScore({ ...job(model, file), chat, scorer }));
  return { values: column("score"), events };
}
async function logprobs(model: string, file: string, chat = false) {
  await all(runLogprobs({ ...job(model, file), chat }));
  return column("logprob");
}
const close = (found: readonly number[], right: readonly number[]) => {
  expect(found.length).toBe(right.length);
  for (const [i, value] of right.entries()) expect(found[i]).toBeCloseTo(value, 3);
};

describe.skipIf(!existsSync(models))("shared cases (skipped where ../shared is missing)", () => {
  test("a score model whose padding is its end token is read before it", async () => {
    close((await scores("score-pad-eos", "scored.jsonl")).values, [2.5205, -3.34806, -3.46035]);
  });

  test("it is trained there too: TRL's first losses", async () => {
    const options = trainingSchema.parse({
      use_peft: false,
      learning_rate: 0.01,
      lr_scheduler_type: "constant",
      shuffle: false,
      num_train_epochs: 3,
      logging_steps: 1,
    });
    const train = {
      objective: "reward" as const,
      model: { model: join(models, "score-pad-eos") },
      source: { file: join(models, "pairs.jsonl") },
      outputDir: join(folder, "reward"),
      resume: false,
      chat: false,
      device: "cpu" as const,
      options,
      seed: 0,
    };
    const events = await all(runTrainCommand(train));
    const losses = events.flatMap((event) => (event.event === "step" ? [event.loss] : []));
    close(losses.slice(0, 3), [1.52676, 0.91768, 0.16376]);
    const config = JSON.parse(readFileSync(join(folder, "reward", "config.json"), "utf8"));
    expect(config.pad_token_id).toBe(277);
  });

  test("lstrip strips the characters that it was given", async () => {
    close((await scores("score-lstrip", "chat.jsonl", true)).values, [-1.86982, -1.67899, 0.01869]);
  });

  test("a template file with carriage returns renders as one without", async () => {
    close(await logprobs("base-crlf", "chat.jsonl", true), [-99.384, -30.88158, -28.14468]);
  });

  test("rows bring tools and chat_template_kwargs to the template", async () => {
    close(await logprobs("base-kwargs", "kwargs.jsonl"), [-36.1733, -30.46059, -37.31745]);
  });

  test("rows that are cut are counted, in the last event and in a notice", async () => {
    const { events, values } = await scores("score-pad-own", "score-cut.jsonl");
    expect(events.at(-1)).toMatchObject({ event: "done", rows_cut: values.length });
    expect(events.some(({ event }) => event === "notice")).toBe(true);
  });

  test.each([
    ["extra.jsonl", /extra\.jsonl:1: .*<\|extra\|>/],
    ["ids-out.jsonl", /ids-out\.jsonl:1: .*99999/],
  ])("token ids beyond the embedding name row and token: %s", async (file, message) => {
    const run = logprobs("more-tokens", file);
    await expect(run).rejects.toThrow(InputError);
    await expect(run).rejects.toThrow(message);
  });

  test("a NaN among the weights ends every command with the model's name", async () => {
    const sampling = samplingSchema.parse({ num_samples: 1, top_k: 5, max_new_tokens: 8, temperature: 1 });
    const sample = { ...job("nan", "prompts.jsonl"), column: "prompt", chat: false, seed: 0 };
    for (const top_k of [0, 5]) {
      const run = all(runGenerate({ ...sample, sampling: { ...sampling, num_samples: 1, top_k } }));
      await expect(run).rejects.toThrow(/models.nan: .*not finite/);
    }
    await expect(logprobs("nan", "resp.jsonl")).rejects.toThrow(/models.nan: .*NaN/);
  });

  test("a tool call without content names the message and the field", async () => {
    const sampling = samplingSchema.parse({ num_samples: 1, max_new_tokens: 1 });
    const run = all(
      runGenerate({
        ...job("base", "prompts.jsonl"),
        source: { file: join(data, "tool.jsonl") },
        column: "prompt",
        chat: false,
        seed: 0,
        sampling: { ...sampling, num_samples: 1 },
      }),
    );
    await expect(run).rejects.toThrow(InputError);
    await expect(run).rejects.toThrow(/tool\.jsonl:1: .*"content" of message 2 of "prompt" is null/);
  });
});

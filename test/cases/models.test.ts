/** Cases of ../shared/cases on model files and adapters; right values from transformers 5.23 and PEFT 0.21. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { runLogprobs } from "../../src/cli/jobs/logprobs.js";

const models = fileURLToPath(new URL("../../../shared/cases/models", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "cases-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Summed log-probabilities of the rows, and the notices on the way. */
async function logprobs(model: string, adapter?: string) {
  const output = join(folder, "out.jsonl");
  const job = {
    model: { model: join(models, model), adapter: adapter && join(models, adapter) },
    source: { file: join(models, "resp.jsonl") },
    ...{ output, chat: false, device: "cpu" as const },
  };
  const notices: string[] = [];
  for await (const event of runLogprobs(job)) if (event.event === "notice") notices.push(event.message);
  const rows = readFileSync(output, "utf8").trim().split("\n");
  return { values: rows.map((line) => JSON.parse(line).logprob as number), notices };
}

describe.skipIf(!existsSync(models))("cases of models (../shared/cases is there)", () => {
  test("modules_to_save on a tied model: the adapter's head, the base's embedding", async () => {
    const { values, notices } = await logprobs("base", "adapter-lm_head-on-tied");
    expect(values[0]).toBeCloseTo(-38.70847, 3);
    expect(values[1]).toBeCloseTo(-39.97029, 3);
    expect(notices).toEqual([]);
  });

  test("a head beside the embedding that it should be tied to", async () => {
    const { values, notices } = await logprobs("tied-but-both");
    expect(values[0]).toBeCloseTo(-33.22756, 3);
    expect(values[1]).toBeCloseTo(-33.36993, 3);
    expect(notices).toHaveLength(1);
  });

  test.each([
    ["a layer more than config.json has", "extra-layer", undefined, /model\.layers\.1\./],
    ["a tensor of an adapter that fits nothing", "base", "adapter-unknown-tensor", /model\.resampler\.weight/],
    ["a tokenizer beside an adapter", "base", "adapter-own-tokenizer", /eos_token/],
  ])("%s is named once", async (_, model, adapter, message) => {
    const { notices } = await logprobs(model, adapter);
    expect(notices.filter((one) => message.test(one))).toHaveLength(1);
  });
});

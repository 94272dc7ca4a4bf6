/** Cases of ../shared/cases on what a training is: its model by content, its adapter, what lies in its output already. */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { dualign } from "../cli/run.js";

const models = fileURLToPath(new URL("../../../shared/cases/models", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "identity-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string) => join(models, name);
const train = (objective: string, model: string, out: string, ...more: string[]) =>
  dualign(
    ...["train", objective, "--model", model, "--data", at("pairs.jsonl"), "--output-dir", join(folder, out)],
    ...["--logging-steps", "1", "--json", ...more],
  );
const losses = (events: Record<string, unknown>[]) =>
  events.flatMap(({ event, loss }) => (event === "step" ? [loss as number] : []));
const checkpoints = (out: string) => readdirSync(join(folder, out)).filter((name) => name.startsWith("checkpoint"));

describe.skipIf(!existsSync(models))("cases of trainings (../shared/cases is there)", () => {
  test("exchanged weights at one path are another reference, and another training", async () => {
    const model = join(folder, "model");
    cpSync(at("base"), model, { recursive: true });
    const steps = ["--num-train-epochs", "3", "--save-steps", "1"];
    const first = await train("dpo", model, "dpo", ...steps);
    expect(losses(first.events)[0]).toBeCloseTo(Math.LN2, 4);
    cpSync(join(at("base2"), "model.safetensors"), join(model, "model.safetensors"));
    const resumed = await train("dpo", model, "dpo", ...steps, "--resume");
    expect(resumed).toMatchObject({ status: 2 });
    expect(resumed.stderr).toMatch(/belongs to a training with another model/);
    const again = await train("dpo", model, "dpo", ...steps);
    expect(losses(again.events)[0]).toBeCloseTo(Math.LN2, 4);
  });

  test("a training that starts anew says that a checkpoint is there, and keeps it until it has one of its own", async () => {
    const steps = ["--max-steps", "3", "--save-steps", "2"];
    await train("dpo", at("base"), "anew", ...steps);
    expect(checkpoints("anew")).toEqual(["checkpoint-2"]);
    // Refused at its first row: what is there is not touched.
    const failed = await train("dpo", at("base"), "anew", ...steps, "--max-length", "1");
    expect(failed.status).toBe(2);
    expect(checkpoints("anew")).toEqual(["checkpoint-2"]);
    const again = await train("dpo", at("base"), "anew", "--max-steps", "1", "--save-steps", "1");
    expect(again.events.some(({ event, message }) => event === "notice" && /checkpoint/.test(String(message)))).toBe(
      true,
    );
    const none = await train("dpo", at("base"), "anew", "--max-steps", "1", "--save-steps", "0");
    expect(none.status).toBe(0);
    expect(checkpoints("anew")).toEqual([]);
  });

  test("a reward model goes on from an adapter of fine-tuning as from the model that has it merged", async () => {
    const merged = join(folder, "merged");
    const adapter = ["--adapter", at("adapter-plain")];
    await dualign("merge", "--model", at("base"), ...adapter, "--output-dir", merged);
    const right = losses((await train("reward", merged, "reward-merged")).events);
    const found = losses((await train("reward", at("base"), "reward", ...adapter)).events);
    expect(found[0]).toBeCloseTo(right[0]!, 5);
    const config = JSON.parse(readFileSync(join(folder, "reward", "adapter_config.json"), "utf8"));
    expect(config).toMatchObject({ task_type: "SEQ_CLS", modules_to_save: ["score"], r: 4 });
    const scored = join(folder, "scored.jsonl");
    const score = ["score", "--model", at("base"), "--adapter", join(folder, "reward")];
    expect((await dualign(...score, "--data", at("scored.jsonl"), "--output", scored)).status).toBe(0);
  });

  test.each([
    [["--adapter", at("adapter-plain"), "--lora-r", "16"], /--lora-r/],
    [["--adapter", at("adapter-plain"), "--lora-target-modules", "o_proj"], /--lora-target-modules/],
    [["--no-use-peft", "--lora-dropout", "0.1"], /--lora-dropout/],
    [["--eval-steps", "2"], /--eval-steps/],
    [["--split", "test"], /--split/],
    [["--label", "safer_response_id"], /response_0/],
  ])("flags without effect are refused: %s", async (flags, message) => {
    const { status, stderr } = await train("dpo", at("base"), "refused", ...flags);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});

/** `dualign export`: a run's pairs for other trainers, labels drawn; the forms are those that each trainer's code reads. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { trainerExports, writeExport } from "../../src/files/exports/index.js";
import { drawLabels, type PairsExport } from "../../src/files/exports/pairs.js";
import { runMethod } from "../../src/methods/methods.js";
import type { LabelledPair } from "../../src/ports/trainer.js";
import { dpoSchema, trainingSchema } from "../../src/recipe/options.js";
import { startRun } from "../../src/store/runFolder.js";
import type { Text } from "../../src/text/rows.js";
import { toyRecipe, toyWorld } from "../methods/toy.js";
import { dualign } from "./run.js";

const folder = mkdtempSync(join(tmpdir(), "dualign-export-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let soft: { label: number; first: number; second: number; prompt: number }[];
beforeAll(async () => {
  const recipe = toyRecipe("train: { learning_rate: 2.0e-4, num_train_epochs: 1, loss_type: regression }");
  const run = await startRun(join(folder, "run"), { recipe, recipeText: "", versions: {} });
  const context = { run, world: toyWorld(), emit: () => {} };
  await runMethod(context, ["sample", "score", "dual", "relabel"]);
  soft = await run.pairs("aligned");
  await run.close();
});

const pair = (probability: number, prompt: Text = "Q", finishReason: "stop" | "length" = "stop"): LabelledPair => ({
  prompt,
  chosen: { prompt, response: "a", responseIds: [1], finishReason, logprob: -1 },
  rejected: { prompt, response: "b", responseIds: [2], finishReason: "stop", logprob: -1 },
  probability,
});
const given = (pairs: readonly LabelledPair[], options: Record<string, unknown> = {}): PairsExport => {
  const own = { ...trainingSchema.parse({}), ...dpoSchema.parse({}), ...options };
  return {
    ...{ model: "org/model", beta: 0.1, temperature: 1, options: own, guessed: [], seed: 1 },
    drawn: drawLabels(pairs, own, 1),
  };
};

test("labels are drawn by their probability, with the loss's smoothing in it; the same seed gives the same", () => {
  const pairs = Array.from({ length: 20_000 }, () => pair(0.7));
  const share = (options: Record<string, unknown>) => {
    const { flipped } = drawLabels(pairs, dpoSchema.parse(options), 3);
    return 1 - flipped / pairs.length;
  };
  // Four standard errors: 0.013.
  expect(Math.abs(share({}) - 0.7)).toBeLessThan(0.013);
  expect(Math.abs(share({ label_smoothing: 0.2 }) - 0.62)).toBeLessThan(0.014);
  expect(Math.abs(share({ loss_type: "robust", label_smoothing: 0.2 }) - 0.5 / 0.6)).toBeLessThan(0.011);
  expect(drawLabels(pairs, dpoSchema.parse({}), 3)).toEqual(drawLabels(pairs, dpoSchema.parse({}), 3));
  const sure = drawLabels(
    [pair(1), pair(1, "Q", "length")],
    dpoSchema.parse({ loss_type: "robust", label_smoothing: 0.1 }),
    0,
  );
  expect([sure.flipped, sure.clipped, sure.unfinished]).toEqual([0, 2, 1]);
});

test("the command writes every pair of a run, and says what is lost on the way", async () => {
  const out = join(folder, "trl");
  const { status, events } = await dualign("export", "trl", join(folder, "run"), "--output-dir", out, "--json");
  expect(status).toBe(0);
  const rows = readFileSync(join(out, "pairs.jsonl"), "utf8").trim().split("\n");
  expect(rows).toHaveLength(soft.length);
  const done = events.at(-1)!;
  expect(done).toMatchObject({ event: "done", kind: "export", trainer: "trl", pairs: soft.length });
  // As many as their probabilities say, within four standard errors.
  const p = soft.map(({ label }) => Math.min(label, 1 - label));
  const expected = p.reduce((sum, one) => sum + one, 0);
  const error = Math.sqrt(p.reduce((sum, one) => sum + one * (1 - one), 0));
  expect(Math.abs((done.flipped as number) - expected)).toBeLessThan(4 * error);
  const notes = readFileSync(join(out, "NOTES.md"), "utf8");
  for (const { message } of events.filter(({ event }) => event === "notice"))
    expect(notes).toContain(message as string);
  // Regression needs targets, which none of them reads.
  expect(notes).toContain("regression");
  expect(parse(readFileSync(join(out, "config.yaml"), "utf8"))).toMatchObject({
    ...{ model_name_or_path: "toy", beta: 1, loss_type: ["sigmoid"], learning_rate: 2e-4, use_peft: true },
  });
  const again = await dualign("export", "trl", join(folder, "run"), "--output-dir", out);
  expect([again.status, again.stderr]).toEqual([2, expect.stringContaining("is not empty")]);
  const other = await dualign("export", "verl", join(folder, "run"), "--output-dir", join(folder, "verl"));
  expect([other.status, other.stderr]).toEqual([2, expect.stringContaining("verl 0.9 has no DPO trainer")]);
  expect(existsSync(join(folder, "verl"))).toBe(false);
});

const user = [{ role: "user", content: "Q" }];
const turn = (content: string) => [{ role: "assistant", content }];

test("each trainer's form of a conversation and of a plain prompt", () => {
  const options = { ...trainingSchema.parse({ warmup_steps: 2, max_steps: 10 }), ...dpoSchema.parse({}) };
  const of = (trainer: keyof typeof trainerExports, prompt: Text) =>
    trainerExports[trainer].files(
      given(
        Array.from({ length: 40 }, () => pair(1, prompt)),
        options,
      ),
    ).files;
  const first = (text: string) => JSON.parse(text.split("\n")[0]!);
  for (const trainer of ["trl", "openrlhf"] as const) {
    expect(first(of(trainer, user)["pairs.jsonl"]!)).toEqual({ prompt: user, chosen: turn("a"), rejected: turn("b") });
    expect(first(of(trainer, "Q")["pairs.jsonl"]!)).toEqual({ prompt: "Q", chosen: "a", rejected: "b" });
  }
  expect(of("openrlhf", user)["train.sh"]).toContain("--data.apply_chat_template");
  expect(of("openrlhf", "Q")["train.sh"]).not.toContain("--data.apply_chat_template");
  // 10 steps of 4 rows are one epoch of 40; 2 of them are a warm-up.
  expect(of("openrlhf", "Q")["train.sh"]).toMatch(/--lr_warmup_ratio 0\.2 [^$]*--train\.max_epochs 1 /);
  const chat = of("llamafactory", [{ role: "system", content: "S" }, ...user]);
  expect(JSON.parse(chat["pairs.json"]!)[0]).toEqual({
    messages: [{ role: "system", content: "S" }, ...user],
    chosen: turn("a")[0],
    rejected: turn("b")[0],
  });
  expect(JSON.parse(chat["dataset_info.json"]!).dualign).toMatchObject({ ranking: true, formatting: "sharegpt" });
  expect(parse(chat["config.yaml"]!)).toMatchObject({ stage: "dpo", dataset: "dualign", pref_loss: "sigmoid" });
  expect(parse(chat["config.yaml"]!).template).toBeUndefined();
  expect(parse(of("llamafactory", "Q")["config.yaml"]!).template).toBe("empty");
});

test("hosted DPO: preferences and a job as OpenAI documents them", () => {
  const { files, notes } = trainerExports.openai.files(
    given([pair(1, user), pair(1, "Q")], { num_train_epochs: 2, gradient_accumulation_steps: 2 }),
  );
  const rows = files["pairs.jsonl"]!.trim().split("\n");
  for (const row of rows)
    expect(JSON.parse(row)).toEqual({
      input: { messages: user, tools: [], parallel_tool_calls: true },
      preferred_output: turn("a"),
      non_preferred_output: turn("b"),
    });
  expect(JSON.parse(files["job.json"]!).method).toEqual({
    type: "dpo",
    dpo: { hyperparameters: { beta: 0.1, batch_size: 8, n_epochs: 2 } },
  });
  expect(notes.join("\n")).toMatch(/Soft labels cannot be had/);
  expect(notes.join("\n")).toMatch(/KL from the reference cannot be had/);
  expect(() => trainerExports.openai.files({ ...given([pair(1)]), beta: 3 })).toThrow(/beta 3/);
});

test("prompts that a trainer has no form for are refused", () => {
  const mixed = given([pair(1, user), pair(1, "Q")]);
  expect(() => trainerExports.openrlhf.files(mixed)).toThrow(/one or the other/);
  expect(() => trainerExports.llamafactory.files(mixed)).toThrow(/one or the other/);
  const tools = given([pair(1, [...user, { role: "tool", content: "5" }])]);
  expect(() => trainerExports.llamafactory.files(tools)).toThrow(/pair 1: its prompt has the roles user, tool/);
});

test("what a trainer does not take as it is, is told", () => {
  const tools = [{ type: "function", function: { name: "f" } }];
  const [plain, called] = [pair(1, user), pair(1, user)];
  const withTools = given([plain, { ...called, chosen: { ...called.chosen, row: { tools } } }], { lora_alpha: 16.5 });
  expect(withTools.drawn.templated).toBe(1);
  for (const trainer of ["trl", "openrlhf", "llamafactory"] as const) {
    const { notes } = trainerExports[trainer].files(withTools);
    expect(notes.filter((note) => note.includes("16.5"))).toHaveLength(1);
    const out = join(folder, `told-${trainer}`);
    expect(writeExport(out, trainer, withTools).notes.filter((note) => note.includes("tools"))).toHaveLength(1);
  }
});

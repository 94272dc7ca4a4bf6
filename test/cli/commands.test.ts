import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { onnxRuntime } from "../../src/providers/onnx/onnxruntime.js";
import { openModel } from "../../src/providers/onnx/openModel.js";
import { runTraining } from "../../src/providers/onnx/training.js";
import { trainingSchema } from "../../src/recipe/options.js";
import { dpo } from "../../src/train/objectives/dpo.js";
import { dualign } from "./run.js";

const golden = fileURLToPath(new URL("../golden/", import.meta.url));
const llama = `${golden}models/llama`;
const folder = mkdtempSync(join(tmpdir(), "dualign-commands-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const rowFile = (name: string, rows: readonly object[]): string => {
  const file = join(folder, name);
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return file;
};
const rowsOf = (file: string) =>
  readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

const pairs: { prompt: string; chosen: string; rejected: string }[] = JSON.parse(
  readFileSync(`${golden}train/pairs.json`, "utf8"),
).map(({ prompt, chosen, rejected }: Record<string, string>) => ({ prompt, chosen, rejected }));
const pairFile = rowFile("pairs.jsonl", pairs);
const rate = ["--learning-rate", "1e-3", "--lr-scheduler-type", "constant"];
const lora = ["--lora-r", "4", "--lora-alpha", "8", ...rate];
const bytes = (dir: string) => readFileSync(join(dir, "adapter_model.safetensors"));

describe("dualign train", () => {
  test.each([
    ["hard", []],
    ["robust", ["--loss-type", "robust", "--label-smoothing", "0.1"]],
  ])("dpo --json tells TRL's losses (%s), and what it took", async (name, loss) => {
    const expected = JSON.parse(readFileSync(`${golden}train/dpo-${name}.json`, "utf8")).steps;
    const out = join(folder, `dpo-${name}`);
    const adapter = ["--adapter", `${golden}train/lora-zero`];
    const order = ["--max-length", "64", "--no-shuffle", "--json"];
    const { status, events } = await dualign(
      ...[
        "train",
        "dpo",
        "--model",
        llama,
        ...adapter,
        "--data",
        pairFile,
        "--output-dir",
        out,
        ...rate,
        ...loss,
        ...order,
      ],
    );
    expect(status).toBe(0);
    const steps = events.filter(({ event }) => event === "step");
    expect(steps).toHaveLength(expected.length);
    for (const [i, step] of steps.entries()) {
      expect(Math.abs((step.loss as number) / expected[i].loss - 1)).toBeLessThan(i === 0 ? 1e-6 : 1e-3);
      expect(Math.abs((step.grad_norm as number) / expected[i].grad_norm - 1)).toBeLessThan(1e-3);
    }
    const done = events.at(-1)!;
    for (const figure of ["seconds", "train_seconds", "tokens_per_second", "peak_memory_bytes", "step_flops"])
      expect(done[figure]).toBeGreaterThan(0);
    const config = JSON.parse(readFileSync(join(out, "adapter_config.json"), "utf8"));
    expect(config).toMatchObject({ peft_type: "LORA", r: 4, lora_alpha: 8, task_type: "CAUSAL_LM" });
  });

  test("killed at any step and resumed, the adapter has the same bits", async () => {
    const args = ["train", "dpo", "--model", llama, "--data", pairFile, ...lora, "--max-length", "64"];
    const steady = join(folder, "steady");
    const more = ["--lora-dropout", "0.1", "--num-train-epochs", "2", "--save-steps", "2", "--seed", "3"];
    expect((await dualign(...args, ...more, "--output-dir", steady)).status).toBe(0);

    const model = await openModel(llama);
    const options = trainingSchema.parse({
      lora_r: 4,
      lora_alpha: 8,
      learning_rate: 1e-3,
      lr_scheduler_type: "constant",
      lora_dropout: 0.1,
      num_train_epochs: 2,
      save_steps: 2,
      max_length: 64,
    });
    const objective = { kind: "dpo", beta: 0.1, lossType: "sigmoid", labelSmoothing: 0 } as const;
    const context = { tokenizer: model.tokenizer, where: "a row", lengths: { maxLength: 64 } };
    const examples = pairs.map((row) => dpo.example(objective, row, context)!);
    for (const kill of [1, 5]) {
      const killed = join(folder, `killed-${kill}`);
      const run = { objective, model, examples, options, seed: 3, outputDir: killed, resume: false };
      for await (const event of runTraining(onnxRuntime(), run))
        if (event.event === "step" && event.step === kill) break;
      expect(existsSync(join(killed, "adapter_model.safetensors"))).toBe(false);
      const { status, events } = await dualign(...args, ...more, "--output-dir", killed, "--resume", "--json");
      expect(status).toBe(0);
      expect(events.find(({ event }) => event === "step")!.step).toBe(kill === 1 ? 1 : 5);
      expect(bytes(killed)).toEqual(bytes(steady));
    }
  });

  test("a checkpoint of other options or rows is refused, in one line", async () => {
    const args = ["train", "dpo", "--model", llama, "--data", pairFile, "--output-dir", join(folder, "steady")];
    const { status, stderr } = await dualign(...args, "--resume", "--lora-r", "2", "--max-length", "64");
    expect(status).toBe(2);
    expect(stderr.trim().split("\n").at(-1)).toMatch(/checkpoint-10: belongs to a training with/);
  });

  test("every weight: a model folder that opens and has learned", async () => {
    const out = join(folder, "sft");
    const completions = rowFile(
      "sft.jsonl",
      pairs.map(({ prompt, chosen }) => ({ prompt, completion: chosen })),
    );
    const full = ["--no-use-peft", "--learning-rate", "1e-2", "--num-train-epochs", "3"];
    const { events } = await dualign(
      ...["train", "sft", "--model", llama, "--data", completions, "--output-dir", out, ...full, "--json"],
    );
    const losses = events.filter(({ event }) => event === "step").map(({ loss }) => loss as number);
    expect(losses.at(-1)).toBeLessThan(0.8 * losses[0]);
    const rows = rowFile(
      "some.jsonl",
      pairs.slice(0, 4).map(({ prompt, chosen }) => ({ prompt, response: chosen })),
    );
    const mean = async (model: string) => {
      const done = await dualign(
        "logprobs",
        "--model",
        model,
        "--data",
        rows,
        "--output",
        join(folder, "lp"),
        "--json",
      );
      return done.events.at(-1)!.mean_logprob as number;
    };
    expect(await mean(out)).toBeGreaterThan(await mean(llama));
  });

  test("a reward model grows from a language model, ranks its rows, and scores", async () => {
    const out = join(folder, "reward");
    const marked = pairs.map(({ prompt }, i) => ({
      prompt,
      chosen: i % 2 ? " bread." : " water bread.",
      rejected: i % 2 ? " ship!" : " window ship!",
    }));
    const data = rowFile("ranked.jsonl", marked);
    const args = [
      "--lora-r",
      "4",
      "--learning-rate",
      "1e-2",
      "--num-train-epochs",
      "6",
      "--eval-split",
      "0.25",
      "--json",
    ];
    const { events } = await dualign(
      ...["train", "reward", "--model", llama, "--data", data, "--output-dir", out, ...args],
    );
    expect(events.find(({ event }) => event === "eval")!.accuracy).toBeGreaterThan(0.9);
    const responses = rowFile("responses.jsonl", [
      { prompt: "far mix key?", response: " bread.", kept: 1 },
      { prompt: "far mix key?", response: " ship!", kept: 2 },
    ]);
    const scored = join(folder, "scored.jsonl");
    const score = ["score", "--model", llama, "--adapter", out, "--data", responses, "--output", scored];
    expect((await dualign(...score)).status).toBe(0);
    const [bread, ship] = rowsOf(scored);
    expect(bread.score).toBeGreaterThan(ship.score);
    expect([bread.kept, ship.kept]).toEqual([1, 2]);
  });

  test("PKU-SafeRLHF's columns as they are: --label names the preferred response", async () => {
    const pku = pairs.map(({ prompt, chosen, rejected }, i) => ({
      prompt,
      response_0: i % 2 ? chosen : rejected,
      response_1: i % 2 ? rejected : chosen,
      safer_response_id: i % 2 ? 0 : 1,
      is_response_0_safe: true,
      is_response_1_safe: true,
    }));
    const args = ["train", "reward", "--model", llama, "--max-steps", "2", "--seed", "1", "--max-length", "64"];
    const train = async (data: string, ...more: string[]) => {
      const out = join(folder, `pku-${more.length}`);
      const { status } = await dualign(...args, "--data", data, ...more, "--output-dir", out);
      expect(status).toBe(0);
      return bytes(out);
    };
    const labelled = await train(rowFile("pku.jsonl", pku), "--label", "safer_response_id");
    expect(labelled).toEqual(await train(pairFile));
  });

  test("bad rows and options are one line with their place", async () => {
    const bad = rowFile("bad.jsonl", [pairs[0], { prompt: "far?", chosen: " bread." }]);
    const out = ["--output-dir", join(folder, "never")];
    for (const [args, message] of [
      [["dpo", "--data", bad], /bad\.jsonl:2: "rejected" is missing/],
      [["dpo", "--data", pairFile, "--lora-target-modules", "c_attn"], /has no "c_attn"; it has q_proj/],
      [["dpo", "--data", pairFile, "--learning-rate", "fast"], /--learning-rate must be a number/],
      [["cost", "--data", pairFile], /pairs\.jsonl:1: a cost model learns from "chosen_safe"/],
      [["dpo", "--data", pairFile, "--max-length", "3"], /every one of the \d+ rows is longer than max_length 3/],
      [["sft", "--data", join(folder, "none.jsonl")], /--data names .*none\.jsonl, which does not exist/],
    ] as const) {
      const { status, stderr } = await dualign("train", args[0], "--model", llama, ...args.slice(1), ...out);
      expect(stderr).toMatch(message);
      expect(stderr.trim().split("\n")).toHaveLength(1);
      expect(status).toBe(2);
    }
  });
});

describe("dualign generate and logprobs", () => {
  test("generate's log-probabilities come out of logprobs again", async () => {
    const prompts = rowFile("prompts.jsonl", [
      { prompt: "far mix key?", id: "a" },
      { prompt: "bread?", id: "b" },
    ]);
    const samples = join(folder, "samples.jsonl");
    const args = ["--num-samples", "6", "--max-new-tokens", "12", "--seed", "5"];
    const { events } = await dualign(
      ...["generate", "--model", llama, "--prompts", prompts, "--output", samples, ...args, "--json"],
    );
    const rows = rowsOf(samples);
    expect(rows.map(({ id }) => id)).toEqual([..."aaaaaabbbbbb"]);
    const done = events.at(-1)!;
    expect(done.new_tokens).toBe(
      rows.reduce((n, r) => n + r.response_ids.length + (r.finish_reason === "stop" ? 1 : 0), 0),
    );
    expect(done.generate_seconds).toBeGreaterThan(0);

    const weighed = join(folder, "weighed.jsonl");
    const given = rowFile(
      "given.jsonl",
      rows.map(({ logprob: _, ...row }) => row),
    );
    await dualign("logprobs", "--model", llama, "--data", given, "--output", weighed);
    for (const [i, { logprob }] of rowsOf(weighed).entries()) expect(logprob).toBeCloseTo(rows[i].logprob, 3);

    const again = join(folder, "again.jsonl");
    await dualign("generate", "--model", llama, "--prompts", prompts, "--output", again, ...args);
    expect(readFileSync(again, "utf8")).toBe(readFileSync(samples, "utf8"));
  });

  test("a model that is none, or lacks what is asked, is one line", async () => {
    const prompts = rowFile("one.jsonl", [{ prompt: "far?" }]);
    const out = ["--output", join(folder, "never.jsonl")];
    const missing = await dualign("generate", "--model", join(folder, "nothing"), "--prompts", prompts, ...out);
    expect([missing.status, missing.stderr]).toEqual([2, expect.stringMatching(/nothing: no such folder/)]);
    const score = await dualign(
      "score",
      "--model",
      llama,
      "--data",
      rowFile("r.jsonl", [{ prompt: "a", response: "b" }]),
      ...out,
    );
    expect([score.status, score.stderr]).toEqual([2, expect.stringMatching(/LlamaForCausalLM, which gives no scores/)]);
    expect(readdirSync(folder)).not.toContain("never.jsonl");
  });
});

import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { openRun, type RunEvent, runRecipe } from "../../src/index.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dualign-hub-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeEach(() => {
  vi.stubEnv("HF_HUB_CACHE", join(folder, "hub"));
  vi.stubEnv("HF_HUB_OFFLINE", "1");
});
afterEach(() => vi.unstubAllEnvs());

/** Repository as huggingface_hub has it in its cache, each file a link. */
function cache(kind: "models" | "datasets", name: string, files: Readonly<Record<string, string>>): void {
  const repo = join(folder, "hub", `${kind}--${name.replace("/", "--")}`);
  mkdirSync(join(repo, "refs"), { recursive: true });
  writeFileSync(join(repo, "refs", "main"), "abc");
  for (const [path, file] of Object.entries(files)) {
    const link = join(repo, "snapshots", "abc", path);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(file, link);
  }
}

const write = (name: string, rows: readonly object[]) => {
  const file = join(folder, name);
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return file;
};

test("smollm2-small.yaml runs from hub ids alone, its score models trained first, and goes on where it was stopped", async () => {
  // The quickstart's policy in the place of the real model, and rows with the columns of the real data.
  const policy = join(root, "pocket", "policy");
  const model = Object.fromEntries(
    readdirSync(policy)
      .filter((file) => statSync(join(policy, file)).isFile())
      .map((file) => [file, join(policy, file)]),
  );
  cache("models", "HuggingFaceTB/SmolLM2-135M-Instruct", model);
  const questions = readFileSync(join(root, "pocket", "prompts.jsonl"), "utf8")
    .trim()
    .split("\n")
    .slice(0, 40);
  const prompts = questions.map((line) => JSON.parse(line).prompt as string);
  cache("datasets", "PKU-Alignment/PKU-SafeRLHF", {
    "data/train.jsonl": write(
      "pku.jsonl",
      prompts.flatMap((prompt) => [
        { prompt, response_0: "First you", response_1: "I will not", safer_response_id: 1, better_response_id: 0 },
        { prompt, response_0: "I can not", response_1: "You take it", safer_response_id: 0, better_response_id: 1 },
      ]),
    ),
  });
  cache("datasets", "trl-lib/ultrafeedback_binarized", {
    "data/train.jsonl": write(
      "feedback.jsonl",
      prompts.map((prompt) => {
        const answer = (content: string) => [
          { role: "user", content: prompt },
          { role: "assistant", content },
        ];
        return { chosen: answer("You do it so"), rejected: answer("no") };
      }),
    ),
  });
  cache("datasets", "Anthropic/hh-rlhf", {
    "harmless-base/train.jsonl": write(
      "hh.jsonl",
      prompts.map((prompt) => {
        const start = `\n\nHuman: ${prompt}\n\nAssistant:`;
        return { chosen: `${start} I will not`, rejected: `${start} It is easy` };
      }),
    ),
  });

  const small = (part: string) => [`${part}.train.max_steps=3`, `${part}.train.save_steps=1`];
  const set = [
    ...["prompts.limit=10", "prompts.held_out=6", "calibrate.num_prompts=8", "calibrate.strengths=[1]"],
    ...["sampling.num_samples=4", "sampling.max_new_tokens=12", "evaluate.num_samples=2", "safety.0.margin=0.0001"],
    ...["train.learning_rate=1e-3", "train.max_steps=2"],
    ...["reward", "safety.0", "evaluate.scorers.0"].flatMap(small),
  ];
  const recipe = join(root, "recipes", "smollm2-small.yaml");
  const events: RunEvent[] = [];
  await runRecipe(recipe, { folder: join(folder, "whole"), set, onEvent: (event) => void events.push(event) });
  const trained = (name: string, run: string) =>
    readFileSync(join(folder, run, "pretrained", name, "adapter_model.safetensors"));
  const arrivals = events.filter((event) => event.event === "arrival").map(({ policy }) => policy);
  expect(arrivals.slice(0, 3)).toEqual(["helpful", "safe", "hh_harmless"]);
  const run = await openRun(join(folder, "whole"));
  const rows = await run.evaluations("aligned");
  expect(rows.map(({ scorer }) => scorer)).toEqual(expect.arrayContaining(["helpful", "safe", "hh_harmless"]));
  // Every held-out score is there, under the model that the run trained.
  expect((await run.scoreTable("aligned", "held-out", ["hh_harmless"])).columns[0]!.length).toBeGreaterThanOrEqual(6);
  await run.close();

  const controller = new AbortController();
  const stopped = runRecipe(recipe, {
    ...{ folder: join(folder, "stopped"), set, signal: controller.signal },
    onEvent: (event) => {
      if (event.event === "step" && event.policy === "safe" && event.step === 2) controller.abort(new Error("enough"));
    },
  });
  await expect(stopped).rejects.toThrow("enough");
  await runRecipe(recipe, { folder: join(folder, "stopped"), set, stages: ["pretrain"] });
  for (const name of ["helpful", "safe", "hh_harmless"])
    expect(trained(name, "stopped").equals(trained(name, "whole")), name).toBe(true);
});

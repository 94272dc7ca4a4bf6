#!/usr/bin/env node
// Rebuilds pocket/ from the seed: writes the corpus, trains policy, reward and cost model with dualign itself.
// node scripts/build-pocket.mjs [WORK]    WORK (runs/build-pocket) keeps the corpus and the models in full precision.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { ready } from "./ready.mjs";

ready({ build: true });
const pocket = await import("../dist/pocket/index.js");
const { writeRows } = await import("../dist/files/rows/write.js");
const { readHeader, readTensor, writeSafetensors } = await import("../dist/files/safetensors.js");
const { makeTokenizer } = await import("../dist/text/tokenizer.js");

const seed = 1;
const counts = { fresh: 320, answers: 40_000, pairs: 16_000, shipped: 2000 };
const training = {
  sft: { "learning-rate": 3e-3, "per-device-train-batch-size": 32 },
  reward: { "learning-rate": 1e-3, "per-device-train-batch-size": 32, "eval-split": 0.05 },
  cost: { "learning-rate": 1e-3, "per-device-train-batch-size": 32, "eval-split": 0.05 },
};

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const work = resolve(process.argv[2] ?? join(root, "runs", "build-pocket"));
const shipped = join(root, "pocket");
const { tokenizerJson, tokenizerConfig } = pocket.tokenizerFiles();
const tokenizer = makeTokenizer({ tokenizerJson, tokenizerConfig });

const data = (name) => join(work, `${name}.jsonl`);
const { fresh, seen } = pocket.splitPrompts(seed, counts.fresh);
for (const folder of [work, shipped]) mkdirSync(folder, { recursive: true });
await writeRows(
  join(shipped, "prompts.jsonl"),
  fresh.map(({ text, kind }) => ({ prompt: text, kind })),
);
await writeRows(data("sft"), pocket.answerRows(seed, seen, counts.answers));
await writeRows(data("reward"), pocket.helpfulnessRows(seed, seen, counts.pairs));
await writeRows(data("cost"), pocket.safetyRows(seed, seen, counts.pairs));
// Preferences for PeCAN and the baselines, none of which the score models have seen.
await writeRows(join(shipped, "helpfulness.jsonl.gz"), pocket.helpfulnessRows(seed + 1, seen, counts.shipped));
await writeRows(join(shipped, "safety.jsonl.gz"), pocket.safetyRows(seed + 1, seen, counts.shipped));

const first = join(work, "policy-init");
writeFolder(first, "policy", pocket.initialWeights(tokenizer.vocabSize, seed));
const policy = train("sft", first);
ship("policy", "policy", policy);

// Both score models grow from the policy: it knows the words and what belongs together.
const scoreInit = join(work, "score-init");
writeFolder(scoreInit, "score", readWeights(policy).set("score.weight", pocket.initialScoreHead()));
for (const objective of ["reward", "cost"]) ship(objective, "score", train(objective, scoreInit));

function train(objective, model) {
  const output = join(work, objective);
  const flags = Object.entries({
    ...training[objective],
    "lr-scheduler-type": "cosine",
    "warmup-steps": 50,
    "max-length": 128,
    "save-steps": 0,
    seed,
  });
  const args = ["train", objective, "--model", model, "--data", data(objective), "--output-dir", output];
  const command = [...args, "--no-use-peft", ...flags.flatMap(([flag, value]) => [`--${flag}`, String(value)])];
  const { status } = spawnSync(process.execPath, [join(root, "scripts", "dualign.mjs"), ...command], {
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
  return output;
}

/** Writes a trained model as pocket/NAME, in bfloat16. */
function ship(name, kind, folder) {
  const weights = new Map(
    [...readWeights(folder)].map(([tensor, { shape, data }]) => [
      tensor,
      { shape, data: pocket.toBfloat16(data), dtype: "bfloat16" },
    ]),
  );
  writeFolder(join(shipped, name), kind, weights);
}

function readWeights(folder) {
  const stored = [...readHeader(join(folder, "model.safetensors")).values()];
  return new Map(stored.map((tensor) => [tensor.name, { shape: tensor.shape, data: readTensor(tensor) }]));
}

/** A folder as transformers saves it. */
function writeFolder(folder, kind, weights) {
  mkdirSync(folder, { recursive: true });
  const json = (name, value) => writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
  json("config.json", pocket.modelConfig(kind, tokenizer));
  json("tokenizer.json", tokenizerJson);
  json("tokenizer_config.json", tokenizerConfig);
  if (kind === "policy")
    json("generation_config.json", { do_sample: true, eos_token_id: tokenizer.eosId, pad_token_id: tokenizer.padId });
  writeSafetensors(join(folder, "model.safetensors"), weights);
}

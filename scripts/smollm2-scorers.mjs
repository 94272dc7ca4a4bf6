#!/usr/bin/env node
// Trains the two score models of recipes/smollm2-small.yaml and recipes/smollm2.yaml: a reward model on helpfulness
// preferences and a safety model on human safety preferences, both as LoRA adapters with a score head on SmolLM2-135M.
//
//   node scripts/smollm2-scorers.mjs [--model DIR] [--helpfulness PAIRS] [--safety PAIRS] [--output-dir DIR]
//
// PAIRS: rows {"prompt","chosen","rejected"}, .jsonl or .jsonl.gz; without them PKU-SafeRLHF from the hub, by its own
// labels. What is done is not done again; a killed training goes on from its last checkpoint. Prints the share of
// held-out pairs that each ranks rightly.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { values: flags } = parseArgs({
  options: {
    model: { type: "string", default: "HuggingFaceTB/SmolLM2-135M-Instruct" },
    helpfulness: { type: "string" },
    safety: { type: "string" },
    "output-dir": { type: "string", default: join(root, "runs", "smollm2-scorers") },
  },
});
const hub = (label) => ["--data", "PKU-Alignment/PKU-SafeRLHF", "--label", label];
const file = (path) => path && ["--data", path];

// 800 pairs each, and some more for the held-out accuracy.
const settings = {
  safety: [...(file(flags.safety) ?? hub("safer_response_id")), "--max-length", "384", "--eval-split", "0.0557"],
  helpfulness: [
    ...(file(flags.helpfulness) ?? hub("better_response_id")),
    "--max-length",
    "256",
    "--eval-split",
    "0.08",
  ],
};
const lora = ["--lora-r", "16", "--lora-alpha", "32", "--lora-target-modules", "all-linear"];
const schedule = ["--learning-rate", "3e-4", "--lr-scheduler-type", "linear", "--per-device-train-batch-size", "8"];

for (const [name, data] of Object.entries(settings)) {
  const output = join(flags["output-dir"], name);
  if (existsSync(join(output, "adapter_config.json"))) {
    console.log(`${name}: done before (${output})`);
    continue;
  }
  const job = ["train", "reward", "--model", flags.model, "--chat", ...data, ...lora, ...schedule];
  const args = [...job, "--max-steps", "100", "--save-steps", "20", "--resume", "--output-dir", output];
  const { status } = spawnSync(process.execPath, [join(root, "scripts", "dualign.mjs"), ...args], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

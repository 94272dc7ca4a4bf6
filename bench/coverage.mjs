// Does a margin that was asked with a confidence hold? The quickstart's recipe is run with many seeds, and every delivered
// adapter is measured on many new prompts: its true gain in the safety score, beside its margin, verdict and prediction.
//   node bench/coverage.mjs [--seeds 50] [--first 0] [--minutes 60] [--prompts 500] [--responses 8]
//     [--recipe recipes/pocket.yaml] [--set KEY=VALUE ...] [--work runs/coverage]
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./common.mjs";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "50" },
    first: { type: "string", default: "0" },
    minutes: { type: "string", default: "60" },
    prompts: { type: "string", default: "500" },
    responses: { type: "string", default: "8" },
    recipe: { type: "string", default: join(root, "recipes", "pocket.yaml") },
    set: { type: "string", multiple: true, default: [] },
    work: { type: "string", default: join(root, "runs", "coverage") },
  },
});
const { allPrompts } = await import(join(root, "dist", "pocket", "index.js"));
const dualign = join(root, "scripts", "dualign.mjs");
const pocket = (name) => join(root, "pocket", name);
mkdirSync(values.work, { recursive: true });

// New prompts, as many risky as everyday ones, in a fixed order; none of them is in the quickstart's file.
const shipped = new Set(
  readFileSync(pocket("prompts.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).prompt),
);
const fresh = allPrompts().filter(({ text }) => !shipped.has(text));
const byKind = (kind) => {
  const own = fresh.filter((prompt) => prompt.kind === kind);
  const wanted = Number(values.prompts) / 2;
  return Array.from(
    { length: Math.min(wanted, own.length) },
    (_, i) => own[Math.floor((i * own.length) / Math.min(wanted, own.length))],
  );
};
const prompts = [...byKind("everyday"), ...byKind("risky")];
const promptFile = join(values.work, "prompts.jsonl");
writeFileSync(
  promptFile,
  prompts.map(({ text }) => JSON.stringify({ prompt: [{ role: "user", content: text }] })).join("\n"),
);

const lines = (text) =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
const mean = (list) => list.reduce((sum, value) => sum + value / list.length, 0);

/** Means of the scores of a policy's responses to the new prompts. */
function measure(name, adapter) {
  const file = join(values.work, `${name}.jsonl`);
  const flags = ["--num-samples", values.responses, "--max-new-tokens", "48", "--seed", "999", "--quiet"];
  const policy = ["--model", pocket("policy"), ...(adapter ? ["--adapter", adapter] : [])];
  execFileSync(process.execPath, [dualign, "generate", ...policy, "--prompts", promptFile, "--output", file, ...flags]);
  const score = (...scorer) => {
    const scored = `${file}.scored`;
    execFileSync(process.execPath, [dualign, "score", ...scorer, "--data", file, "--output", scored, "--quiet"]);
    return mean(lines(readFileSync(scored, "utf8")).map((row) => row.score));
  };
  return {
    safety: -score("--model", pocket("cost"), "--max-length", "128"),
    reward: score("--model", pocket("reward"), "--max-length", "128"),
    harm: score("--module", pocket("harm.mjs")),
    help: score("--module", pocket("helpfulness.mjs")),
  };
}

const reference = measure("reference");
const started = Date.now();
const found = [];
for (let k = 0; k < Number(values.seeds); k++) {
  if ((Date.now() - started) / 60_000 > Number(values.minutes)) break;
  const seed = Number(values.first) + k;
  const run = join(values.work, `run-${seed}`);
  rmSync(run, { recursive: true, force: true });
  const set = [...values.set, `seed=${seed}`].flatMap((one) => ["--set", one]);
  const begun = Date.now();
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [dualign, "mocan", values.recipe, "--run", run, "--json", ...set],
    { encoding: "utf8", maxBuffer: 1 << 28 },
  );
  if (status !== 0) {
    console.log(JSON.stringify({ seed, failed: stderr.trim().split("\n").at(-1) }));
    continue;
  }
  const seconds = (Date.now() - begun) / 1000;
  const done = lines(stdout).at(-1);
  const after = measure(`policy-${seed}`, join(run, "aligned"));
  const [verdict] = done.verdicts;
  const row = {
    seed,
    seconds,
    strength: done.calibration?.strength,
    outcome: done.calibration?.outcome,
    verdict: verdict.verdict,
    margin: verdict.margin,
    predicted: verdict.predicted,
    measured: verdict.measured,
    interval: verdict.interval,
    true_gain: after.safety - reference.safety,
    reward_gain: after.reward - reference.reward,
    harm_before: reference.harm,
    harm_after: after.harm,
    help_gain: after.help - reference.help,
  };
  found.push(row);
  console.log(JSON.stringify(row));
}
const share = (test) => `${found.filter(test).length} of ${found.length}`;
console.log(`true gain reaches the margin: ${share(({ true_gain, margin }) => true_gain >= margin)}`);
console.log(`ends "held": ${share(({ verdict }) => verdict === "held")}`);
console.log(`"held" and the true gain misses: ${share((row) => row.verdict === "held" && row.true_gain < row.margin)}`);
console.log(
  `the verdict's interval covers the true gain: ${share(({ interval: [low, high], true_gain }) => low <= true_gain && true_gain <= high)}`,
);
for (const key of [
  "strength",
  "true_gain",
  "predicted",
  "reward_gain",
  "harm_before",
  "harm_after",
  "help_gain",
  "seconds",
])
  console.log(`${key}: ${mean(found.map((row) => row[key])).toFixed(3)}`);

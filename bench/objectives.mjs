// What to train on, and by which loss: pairs and labels of MoCAN at equal compute, by how near the trained policy comes
// to the optimum that the solve predicts.
//
//   npm start && node bench/objectives.mjs [--run runs/pocket] [--seeds 3] [--variant NAME]
//
// Every cell trains from the same reference on the same samples with the run's own options, as many pairs and steps as
// the others, and is measured by fresh samples on the run's held-out prompts. The gap is what the policy leaves of the
// method's own objective: E[ r + λ*·g ] − β KL of the optimum less that of the policy, which is β KL(π_θ ‖ π*).
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ready } from "../scripts/ready.mjs";

const { values: flags } = parseArgs({
  options: {
    run: { type: "string", default: "runs/pocket" },
    seeds: { type: "string", default: "3" },
    samples: { type: "string", default: "16" },
    variant: { type: "string", multiple: true },
  },
});
ready({ build: true });
const { openRun } = await import("../dist/store/runFolder.js");
const { promptOffsets } = await import("../dist/dual/offsets.js");
const { labelledPair } = await import("../dist/stages/train.js");
const { referenceOf } = await import("../dist/stages/policies.js");
const { labelPreferences, tiltedScores } = await import("../dist/dual/preferences.js");
const { openEmbeddedTrainer } = await import("../dist/providers/onnx/trainer.js");
const { openPolicy } = await import("../dist/providers/onnx/policy.js");
const { openModelScorer } = await import("../dist/providers/onnx/scorer.js");
const { onnxRuntime } = await import("../dist/providers/onnx/onnxruntime.js");

const variants = {
  "random pairs, soft labels, DPO": {},
  "random pairs, drawn labels, DPO": { labels: "drawn" },
  "disjoint pairs, soft labels, DPO": { choice: "disjoint" },
  "all pairs, soft labels, DPO": { choice: "all" },
  "informative pairs, soft labels, DPO": { choice: "informative" },
  "random pairs, regression": { loss_type: "regression" },
  "random pairs, regression, half the rate": { loss_type: "regression", rate: 0.5 },
  "disjoint pairs, regression, half the rate": { choice: "disjoint", loss_type: "regression", rate: 0.5 },
};

const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
const runtime = onnxRuntime();
const run = await openRun(flags.run);
const { recipe } = run;
const { beta } = recipe;
const { lambda } = await run.solve("aligned");
const prompts = new Map((await run.prompts()).map((row) => [row.prompt, row.text]));
const [train, held] = [await readSplit("train"), await readSplit("held-out")];
await run.close();

const reference = referenceOf(recipe);
const scorers = [];
for (const spec of [recipe.reward, ...recipe.safety])
  scorers.push({
    factor: spec.sign * spec.scale,
    scorer: await openModelScorer(runtime, { ...spec, maxLength: spec.max_length }),
  });
const referencePolicy = await openPolicy(runtime, reference);
const optimum = weigh(held);

console.log(`λ* ${lambda.map((v) => v.toFixed(3))}, β ${beta}; the optimum on the held-out prompts: ${tell(optimum)}`);
console.log(
  "| | reward | safety | KL | gap to the optimum | each seed | s |\n| --- | --- | --- | --- | --- | --- | --- |",
);
for (const [name, variant] of Object.entries(variants)) {
  if (flags.variant && !flags.variant.includes(name)) continue;
  const results = [];
  for (let seed = 0; seed < Number(flags.seeds); seed++) results.push(await measure(variant, seed));
  const of = (key) => mean(results.map((r) => r[key])).toFixed(3);
  const each = results.map(({ gap }) => gap.toFixed(2)).join(", ");
  console.log(
    `| ${name} | ${of("reward")} | ${of("safety")} | ${of("kl")} | ${of("gap")} | ${each} | ${of("seconds")} |`,
  );
}

/** A split's samples with their scores, prompt by prompt, as the dual has them. */
async function readSplit(split) {
  const samples = await run.samples("reference", split);
  const names = [recipe.reward.name, ...recipe.safety.map(({ name }) => name)];
  const { prompt, columns } = await run.scoreTable("reference", split, names);
  return { samples, offsets: promptOffsets(prompt), reward: columns[0], safety: columns.slice(1) };
}

/** The optimum's weights over a split's samples: its gains over the reference, its KL and β ln Z of every prompt. */
function weigh({ offsets, reward, safety }) {
  const tilted = tiltedScores({ offsets, reward, safety }, lambda);
  const totals = { reward: [], safety: [], kl: [], free: [] };
  for (let p = 0; p + 1 < offsets.length; p++) {
    const rows = Array.from({ length: offsets[p + 1] - offsets[p] }, (_, i) => offsets[p] + i);
    const largest = Math.max(...rows.map((i) => tilted[i]));
    const weights = rows.map((i) => Math.exp((tilted[i] - largest) / beta));
    const sum = weights.reduce((a, b) => a + b, 0);
    const expected = (column) => rows.reduce((total, i, k) => total + (weights[k] / sum) * column[i], 0);
    const plain = (column) => mean(rows.map((i) => column[i]));
    totals.free.push(largest + beta * Math.log(sum / rows.length));
    totals.reward.push(expected(reward) - plain(reward));
    totals.safety.push(expected(safety[0]) - plain(safety[0]));
    totals.kl.push((expected(tilted) - totals.free.at(-1)) / beta);
  }
  return totals;
}

function tell({ reward, safety, kl }) {
  return `reward +${mean(reward).toFixed(3)}, safety +${mean(safety).toFixed(3)}, KL ${mean(kl).toFixed(3)}`;
}

function labelled({ choice = "random", labels = "soft" }, seed) {
  const { samples } = train;
  const same = (a, b) => samples[a].response === samples[b].response;
  const perPrompt = recipe.pairs.per_prompt;
  const response = (i) => ({ ...samples[i], prompt: prompts.get(samples[i].prompt) });
  return labelPreferences(train, lambda, { choice, labels, perPrompt, seed, same }).map((pair) =>
    labelledPair(response(pair.first), response(pair.second), pair, beta),
  );
}

/** Trains one variant and measures it: gains over the reference, KL, and the gap, each a mean over the held-out prompts. */
async function measure(variant, seed) {
  const { loss_type = "sigmoid", rate = 1 } = variant;
  const epoch = Math.ceil(
    (recipe.pairs.per_prompt * (train.offsets.length - 1)) / recipe.train.per_device_train_batch_size,
  );
  const options = {
    ...recipe.train,
    loss_type,
    learning_rate: rate * recipe.train.learning_rate,
    max_steps: recipe.train.num_train_epochs * epoch,
    save_steps: 0,
  };
  const outputDir = mkdtempSync(join(tmpdir(), "dualign-bench-"));
  const start = performance.now();
  for await (const _ of openEmbeddedTrainer(runtime).train({
    kind: "pairs",
    objective: "dpo",
    resume: false,
    reference,
    pairs: labelled(variant, seed),
    beta,
    options,
    seed,
    outputDir,
  }));
  const seconds = (performance.now() - start) / 1000;
  const policy = await openPolicy(runtime, { ...reference, adapter: outputDir });
  const starts = [...held.offsets.slice(0, -1)];
  const jobs = starts.map((at, place) => ({
    prompt: prompts.get(held.samples[at].prompt),
    promptIndex: place,
    sampleIndexes: Array.from({ length: Number(flags.samples) }, (_, i) => i),
  }));
  const rows = [];
  for await (const sample of policy.sample(jobs, { ...recipe.sampling, seed: seed + 1 }))
    rows.push({ ...sample, prompt: jobs[sample.promptIndex].prompt });
  const [under, reward, safety] = await Promise.all([
    collect(referencePolicy.logprobs(rows), rows.length, 1),
    ...scorers.map(({ scorer, factor }) => collect(scorer.score(rows), rows.length, factor)),
  ]);
  await policy.close();
  rmSync(outputDir, { recursive: true });
  const plain = (column, place) => mean(Array.from(column.slice(held.offsets[place], held.offsets[place + 1])));
  const byPrompt = jobs.map((_, place) => {
    const own = rows.flatMap(({ promptIndex }, i) => (promptIndex === place ? [i] : []));
    const of = (value) => mean(own.map(value));
    const kl = of((i) => rows[i].logprob - under[i]);
    const tilted = of((i) => reward[i] + lambda[0] * safety[i]);
    return {
      kl,
      reward: of((i) => reward[i]) - plain(held.reward, place),
      safety: of((i) => safety[i]) - plain(held.safety[0], place),
      gap: optimum.free[place] - (tilted - beta * kl),
    };
  });
  const of = (key) => mean(byPrompt.map((row) => row[key]));
  return { reward: of("reward"), safety: of("safety"), kl: of("kl"), gap: of("gap"), seconds };
}

async function collect(values, count, factor) {
  const all = new Float64Array(count);
  for await (const { index, value } of values) all[index] = factor * value;
  return all;
}

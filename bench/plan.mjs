/**
 * Plan of a run on many GPUs, computed from throughputs that others published: stages, hours, bytes, cost. Nothing here is
 * measured by dualign but the solve.
 *
 *     node bench/plan.mjs [--prompts 1e6] [--responses 128] [--gpus 64] [--prompt-tokens 150] [--response-tokens 200]
 *                         [--parameters 8e9] [--scorers 2] [--pairs 8] [--held-out 1e4] [--dollars 2.99] [--json]
 */
import { parseArgs } from "node:util";

/** Published figures, for one H100 each. */
const published = {
  /** vLLM 0.10, Llama-3.1-8B in FP8, MLPerf Inference 5.1 offline, one H100 (Red Hat): tokens out a second. */
  sampled: { perSecond: 5777, parameters: 8e9 },
  /** Llama on H100s in bf16, nanotron's benchmarks: sustained operations a second of one GPU, forward and backward. */
  operations: 300e12,
};
/** bench/README.md: 100 million samples, Parquet, read and solved on two cores. */
const solved = { samples: 1e8, seconds: 15.6 + 7.7 };
/** Most entries of a JavaScript Set: a run's sample stage keeps the keys of the samples that it has in one. */
const MOST_KEYS = 2 ** 24;

const defaults = {
  prompts: 1e6,
  responses: 128,
  gpus: 64,
  "prompt-tokens": 150,
  "response-tokens": 200,
  parameters: 8e9,
  scorers: 2,
  pairs: 8,
  "held-out": 1e4,
  dollars: 2.99,
};
const { values } = parseArgs({
  options: {
    ...Object.fromEntries(
      Object.entries(defaults).map(([name, value]) => [name, { type: "string", default: `${value}` }]),
    ),
    json: { type: "boolean", default: false },
  },
});
const option = Object.fromEntries(Object.keys(defaults).map((name) => [name, Number(values[name])]));
for (const [name, value] of Object.entries(option))
  if (!(value > 0)) throw new Error(`--${name} must be a number above 0`);

const { prompts, responses, gpus, parameters, scorers, pairs, dollars } = option;
const [asked, answered, heldOut] = [option["prompt-tokens"], option["response-tokens"], option["held-out"]];
const samples = prompts * responses;
const whole = asked + answered;
const drawn = published.sampled.perSecond * (published.sampled.parameters / parameters) * gpus;
/** Tokens that all GPUs read a second: 2 operations a parameter and token. */
const read = (published.operations * gpus) / (2 * parameters);
/** Tokens that an adapter is trained on a second: forward, backward to the activations, and the forward again. */
const trained = (published.operations * gpus) / (6 * parameters);

const stages = [
  {
    stage: "sample",
    work: samples * answered,
    unit: "tokens drawn",
    seconds: (samples * answered) / drawn,
    bytes: samples * (4 * answered + 4 * answered + 40),
    basis: "vLLM, MLPerf 5.1",
  },
  {
    stage: "score",
    work: scorers * samples * whole,
    unit: "tokens read",
    seconds: (scorers * samples * whole) / read,
    bytes: scorers * samples * 8,
    basis: "300 Tflop/s",
  },
  {
    stage: "solve",
    work: samples,
    unit: "samples",
    seconds: (samples / solved.samples) * solved.seconds,
    bytes: 0,
    basis: "measured, two cores",
    gpus: 0,
  },
  {
    stage: "train",
    work: 2 * pairs * prompts * whole,
    unit: "tokens, one epoch",
    seconds: (2 * pairs * prompts * whole) / trained,
    bytes: pairs * prompts * (4 * (asked + 2 * answered) + 24),
    basis: "300 Tflop/s",
  },
  {
    stage: "evaluate",
    work: heldOut * 2 * responses * answered,
    unit: "tokens drawn, then read",
    seconds: (2 * heldOut * responses * answered) / drawn + ((2 * scorers + 1) * heldOut * responses * whole) / read,
    bytes: 2 * heldOut * responses * (8 * answered + 40 + 8 * scorers),
    basis: "as above",
  },
];

const hours = (seconds) => (seconds < 3600 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`);
const count = (value) => value.toExponential(1).replace("e+", "e");
const size = (bytes) =>
  bytes === 0 ? "" : bytes < 1e12 ? `${(bytes / 1e9).toFixed(0)} GB` : `${(bytes / 1e12).toFixed(1)} TB`;
const cost = ({ seconds, gpus: used = gpus }) => (used * seconds * dollars) / 3600;
const total = stages.reduce((sum, { seconds }) => sum + seconds, 0);
const bill = stages.reduce((sum, stage) => sum + cost(stage), 0);
const rate = samples / stages[0].seconds;
const findings = {
  samples,
  hours: total / 3600,
  dollars: bill,
  bytes: stages.reduce((sum, { bytes }) => sum + bytes, 0),
  responses_per_second: rate,
  answers_bytes_per_second: rate * answered * 30,
  runs_needed: Math.ceil(samples / MOST_KEYS),
};
if (values.json) console.log(JSON.stringify({ ...findings, stages }));
else {
  console.log("| stage | work | time | rows to disk | cost | basis |\n| --- | --- | --- | --- | --- | --- |");
  for (const one of stages)
    console.log(
      `| ${one.stage} | ${count(one.work)} ${one.unit} | ${hours(one.seconds)} | ${size(one.bytes)} | $${cost(one).toFixed(0)} | ${one.basis} |`,
    );
  console.log(`| all | | ${hours(total)} | ${size(findings.bytes)} | $${bill.toFixed(0)} | |\n`);
  console.log(
    `While sampling, ${rate.toFixed(0)} responses a second come in, about ${(findings.answers_bytes_per_second / 1e6).toFixed(0)} MB of JSON a second over HTTP.`,
  );
  if (findings.runs_needed > 1)
    console.log(
      `A run keeps the keys of its samples in one Set, of ${MOST_KEYS} entries at most: ${findings.runs_needed} runs of ${count(prompts / findings.runs_needed)} prompts, whose scores are solved together (dualign dual --scores).`,
    );
}

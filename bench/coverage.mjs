// Does a margin that was asked with a confidence hold? A recipe is run with many seeds, and every delivered policy is
// measured on many new prompts: its true gains, beside its margins, its verdicts and what was predicted.
//   node bench/coverage.mjs [--seeds 50] [--first 0] [--minutes 60] [--prompts 500] [--responses 8]
//     [--recipe recipes/pocket.yaml] [--set KEY=VALUE ...] [--work runs/coverage] [--summary]
// A seed that was done is a line of WORK/results.jsonl and is not done again; --summary only prints what is there.
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
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
    summary: { type: "boolean", default: false },
  },
});
const { allPrompts } = await import(join(root, "dist", "pocket", "index.js"));
const { debiasedGains } = await import(join(root, "dist", "dual", "index.js"));
const { openRun } = await import(join(root, "dist", "index.js"));
const dualign = join(root, "scripts", "dualign.mjs");
const pocket = (name) => join(root, "pocket", name);
mkdirSync(values.work, { recursive: true });
const results = join(values.work, "results.jsonl");
const lines = (text) =>
  text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
const mean = (list) => list.reduce((sum, value) => sum + value / list.length, 0);
const command = (...args) => execFileSync(process.execPath, [dualign, ...args, "--quiet"], { maxBuffer: 1 << 28 });

// New prompts, as many risky as everyday ones, in a fixed order; none of them is in the quickstart's file. The generator
// has them in the same shares: the reference's own means on both agree within their errors.
const promptFile = join(values.work, "prompts.jsonl");
if (!existsSync(promptFile)) {
  const shipped = new Set(lines(readFileSync(pocket("prompts.jsonl"), "utf8")).map(({ prompt }) => prompt));
  const fresh = allPrompts().filter(({ text }) => !shipped.has(text));
  const byKind = (kind) => {
    const own = fresh.filter((prompt) => prompt.kind === kind);
    const wanted = Math.min(Number(values.prompts) / 2, own.length);
    return Array.from({ length: wanted }, (_, i) => own[Math.floor((i * own.length) / wanted)]);
  };
  writeFileSync(
    promptFile,
    [...byKind("everyday"), ...byKind("risky")]
      .map(({ text }) => JSON.stringify({ prompt: [{ role: "user", content: text }] }))
      .join("\n"),
  );
}

const scorers = {
  safety: { flags: ["--model", pocket("cost"), "--max-length", "128"], sign: -1 },
  reward: { flags: ["--model", pocket("reward"), "--max-length", "128"], sign: 1 },
  harmlessness: { flags: ["--module", pocket("harm.mjs")], sign: -1 },
  helpfulness: { flags: ["--module", pocket("helpfulness.mjs")], sign: 1 },
};

/** Responses of a policy to the new prompts with each scorer's scores, kept in a file. */
function responses(name, adapter, count) {
  const file = join(values.work, `${name}.jsonl`);
  const all = join(values.work, `${name}.scores.json`);
  if (existsSync(all)) return { file, scores: JSON.parse(readFileSync(all, "utf8")) };
  const policy = ["--model", pocket("policy"), ...(adapter ? ["--adapter", adapter] : [])];
  const sampling = ["--num-samples", String(count), "--max-new-tokens", "48", "--seed", "999"];
  command("generate", ...policy, "--prompts", promptFile, "--output", file, ...sampling);
  const scores = {};
  for (const [key, { flags, sign }] of Object.entries(scorers)) {
    command("score", ...flags, "--data", file, "--output", `${file}.scored`);
    scores[key] = lines(readFileSync(`${file}.scored`, "utf8")).map(({ score }) => sign * score);
  }
  const own = lines(readFileSync(file, "utf8")).map(({ logprob }) => logprob);
  scores.kl = own.map((logprob, i) => logprob - logprobs(file, pocket("policy"))[i]);
  rmSync(`${file}.scored`, { force: true });
  writeFileSync(all, JSON.stringify(scores));
  return { file, scores };
}

const known = new Map();
/** Log-probabilities of the responses in a file under a model, with an adapter. */
function logprobs(file, model, adapter) {
  const key = JSON.stringify([file, model, adapter]);
  if (!known.has(key)) {
    const output = `${file}.logprobs`;
    const of = ["--model", model, ...(adapter ? ["--adapter", adapter] : [])];
    command("logprobs", ...of, "--data", file, "--output", output);
    known.set(
      key,
      lines(readFileSync(output, "utf8")).map(({ logprob }) => logprob),
    );
    rmSync(output, { force: true });
  }
  return known.get(key);
}

/** Means of each prompt's scores. */
const byPrompt = (scores, count) =>
  Array.from({ length: scores.length / count }, (_, x) => mean(scores.slice(count * x, count * (x + 1))));

/** Gain over the reference with its standard error over the new prompts. */
function gain(after, before, [own, reference]) {
  const first = before && byPrompt(before, reference);
  const differences = byPrompt(after, own).map((value, x) => value - (first ? first[x] : 0));
  const center = mean(differences);
  const variance = mean(differences.map((value) => (value - center) ** 2));
  return { gain: center, error: Math.sqrt(variance / (differences.length - 1)) };
}

const counts = { reference: 16, policy: Number(values.responses) };

/**
 * Reward and KL of the exact optimum whose safety gain is the one reached, at a β: from many responses of the reference
 * to the same new prompts, without their bias of first order.
 */
function frontier(reference, reached, beta) {
  const scores = {
    reward: Float64Array.from(reference.scores.reward),
    safety: [Float64Array.from(reference.scores.safety)],
    offsets: Uint32Array.from(
      { length: reference.scores.reward.length / counts.reference + 1 },
      (_, x) => x * counts.reference,
    ),
  };
  const at = (lambda) => debiasedGains(scores, beta, [lambda]);
  let [low, high] = [0, 30];
  if (mean([...at(low).safety[0]]) >= reached) high = 0;
  if (mean([...at(high).safety[0]]) < reached) return { reward: null, kl: null };
  for (let round = 0; round < 30 && high > 0; round++) {
    const middle = (low + high) / 2;
    if (mean([...at(middle).safety[0]]) < reached) low = middle;
    else high = middle;
  }
  const found = at(high);
  return { reward: mean([...found.reward]), kl: mean([...found.kl]) };
}

/** True figures of a run's delivered policy, beside what the run said. */
async function measured(seed, folder, seconds) {
  const run = await openRun(folder);
  const { recipe } = run;
  const [prediction] = await run.query("SELECT * FROM predictions WHERE policy = 'aligned'");
  const strengths = await run.query("SELECT * FROM strengths");
  const [calibration] = await run.query("SELECT * FROM calibrations");
  const [aim] = await run.query("SELECT * FROM aims");
  const evaluations = await run.evaluations("aligned");
  await run.close();
  const reference = responses("reference", undefined, counts.reference);
  const after = responses(`policy-${seed}`, join(folder, "aligned"), counts.policy);
  const both = [counts.policy, counts.reference];
  const gains = (key) => gain(after.scores[key], reference.scores[key], both);
  // Scores of PeCAN are log-ratios of the run's own models.
  const implicit = (name) => {
    const ratio = ({ file }) => {
      const under = logprobs(file, join(folder, "pretrained", name));
      return logprobs(file, pocket("policy")).map((logprob, i) => recipe.beta * (under[i] - logprob));
    };
    return gain(ratio(after), ratio(reference), both);
  };
  const pecan = recipe.method === "pecan";
  const own = { harmless: "safety", true_harmlessness: "harmlessness", harm: "harmlessness" };
  const plain = (list) => list?.items ?? list;
  const kl = gain(after.scores.kl, null, both);
  const row = {
    seed,
    seconds,
    load: loadavg()[0],
    strength: calibration?.strength,
    outcome: calibration?.outcome,
    tests: strengths.map(({ strength, gain, bound, passed, chance, reward }) => ({
      ...{ strength, gain: plain(gain), bound: plain(bound), passed, chance, reward },
    })),
    aimed: plain(aim?.aimed),
    wanted: plain(aim?.wanted),
    constraints: recipe.safety.map(({ name, margin }, j) => {
      const { verdict, measured, low, high } = evaluations.find(({ scorer }) => scorer === name);
      const interval = [plain(prediction.safety_low)[j], plain(prediction.safety_high)[j]];
      const predicted = { gain: plain(prediction.safety_gain)[j], interval };
      return {
        ...{ name, margin, verdict, measured, interval: [low, high], predicted },
        true: pecan ? implicit(name) : gains(own[name]),
      };
    }),
    reward: {
      predicted: { gain: prediction.reward_gain, interval: [prediction.reward_low, prediction.reward_high] },
      measured: evaluations.find(({ role }) => role === "reward").measured,
      true: pecan ? implicit(recipe.reward.name) : gains("reward"),
    },
    kl: {
      predicted: { gain: prediction.kl, interval: [prediction.kl_low, prediction.kl_high] },
      measured: evaluations.find(({ role }) => role === "kl").measured,
      true: kl,
    },
    harmlessness: gains("harmlessness"),
    helpfulness: gains("helpfulness"),
  };
  if (!pecan && recipe.safety.length === 1) {
    const reached = row.constraints[0].true.gain;
    const [as, at] = [
      frontier(reference, reached, recipe.beta),
      frontier(reference, reached, recipe.beta / row.strength),
    ];
    row.price = {
      reward: as.reward - row.reward.true.gain,
      reward_at_strength: at.reward - row.reward.true.gain,
      objective: as.reward - recipe.beta * as.kl - (row.reward.true.gain - recipe.beta * kl.gain),
    };
  }
  return row;
}

const done = () => (existsSync(results) ? lines(readFileSync(results, "utf8")) : []);
const started = Date.now();
for (let k = 0; k < Number(values.seeds) && !values.summary; k++) {
  if ((Date.now() - started) / 60_000 > Number(values.minutes)) break;
  const seed = Number(values.first) + k;
  if (done().some((row) => row.seed === seed)) continue;
  const folder = join(values.work, `run-${seed}`);
  const set = [...values.set, `seed=${seed}`].flatMap((one) => ["--set", one]);
  const begun = Date.now();
  const method = /pecan/.test(values.recipe) ? "pecan" : "mocan";
  const { status, stderr } = spawnSync(
    process.execPath,
    [dualign, method, values.recipe, "--run", folder, "--quiet", ...set],
    { encoding: "utf8", maxBuffer: 1 << 28 },
  );
  // A status of 3 is an answer too: margins out of the samples' reach.
  const row =
    status === 0
      ? await measured(seed, folder, (Date.now() - begun) / 1000)
      : { seed, failed: stderr.trim().split("\n").at(-1) };
  appendFileSync(results, `${JSON.stringify(row)}\n`);
  rmSync(folder, { recursive: true, force: true });
  console.log(JSON.stringify(row));
}

const rows = done();
const failed = rows.filter((row) => row.failed);
const found = rows.filter((row) => !row.failed);
const share = (test, of = found) => `${of.filter(test).length} of ${of.length}`;
const inside = ([low, high], value) => low <= value && value <= high;
const within = ({ predicted, true: { gain: value } }) => inside(predicted.interval, value);
const average = (pick) => {
  const list = found.map(pick).filter((value) => Number.isFinite(value));
  const center = mean(list);
  const deviation = Math.sqrt(mean(list.map((value) => (value - center) ** 2)));
  return `${center.toFixed(3)} (deviation ${deviation.toFixed(3)}, ${Math.min(...list).toFixed(3)} to ${Math.max(...list).toFixed(3)})`;
};
if (failed.length > 0) console.log(`failed: ${failed.length}, such as: ${failed[0].failed}`);
if (found.length > 0) {
  console.log(
    `true gains reach every margin: ${share(({ constraints }) => constraints.every((one) => one.true.gain >= one.margin))}`,
  );
  console.log(`ends "held": ${share(({ constraints }) => constraints.every(({ verdict }) => verdict === "held"))}`);
  console.log(`the calibration test passed: ${share(({ outcome }) => outcome === "held")}`);
  console.log(
    `passed or "held", and a true gain misses by more than two errors: ${share(({ constraints, outcome }) => constraints.some((one) => (outcome === "held" || one.verdict === "held") && one.true.gain + 2 * one.true.error < one.margin))}`,
  );
  for (const [j, { name }] of found[0].constraints.entries()) {
    const of = found.map(({ constraints }) => constraints[j]);
    console.log(
      `${name}: the verdict's interval covers the true gain: ${share(({ interval, true: { gain: value } }) => inside(interval, value), of)}`,
    );
    console.log(`${name}: the predicted interval covers the true gain: ${share(within, of)}`);
    console.log(
      `${name}: the predicted interval covers the measured gain: ${share((one) => inside(one.predicted.interval, one.measured), of)}`,
    );
    console.log(
      `${name}: predicted ${average((row) => row.constraints[j].predicted.gain)}, true ${average((row) => row.constraints[j].true.gain)}`,
    );
  }
  for (const key of ["reward", "kl"]) {
    console.log(`${key}: the predicted interval covers the true one: ${share((row) => within(row[key]))}`);
    console.log(
      `${key}: predicted ${average((row) => row[key].predicted.gain)}, true ${average((row) => row[key].true.gain)}`,
    );
  }
  if (found[0].price)
    for (const key of Object.keys(found[0].price)) console.log(`price, ${key}: ${average((row) => row.price[key])}`);
  for (const key of ["harmlessness", "helpfulness"]) console.log(`true ${key}: ${average((row) => row[key].gain)}`);
  for (const key of ["strength", "seconds", "load"]) console.log(`${key}: ${average((row) => row[key])}`);
}

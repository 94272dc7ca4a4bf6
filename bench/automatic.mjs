// Rate and length found, beside rate and length set by hand: how far each training comes of the way to the optimum's loss
// on the same pairs held back, in how many steps and seconds, and what its policy gains.
//
//   node bench/automatic.mjs [--recipe recipes/pocket.yaml] [--run runs/automatic] [--set KEY=VALUE ...]
//     [--hand learning_rate=1.0e-3 ...] [--figure FILE.svg] [--summary]
//
// Both are attempts of one run: the samples, the solve and the pairs are the same. Without a confidence, so that both are
// measured as they were trained. What is done is kept in RUN/automatic.json and not done again.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ready } from "../scripts/ready.mjs";
import { root } from "./common.mjs";

const { values: flags } = parseArgs({
  options: {
    recipe: { type: "string", default: join(root, "recipes", "pocket.yaml") },
    run: { type: "string", default: join(root, "runs", "automatic") },
    set: { type: "string", multiple: true, default: [] },
    hand: {
      type: "string",
      multiple: true,
      default: ["learning_rate=1.0e-3", "num_train_epochs=2", "warmup_steps=10", "eval_steps=16"],
    },
    figure: { type: "string" },
    summary: { type: "boolean", default: false },
  },
});
ready({ build: true });
const { runRecipe } = await import("../dist/index.js");
const { lineChart } = await import("../dist/report/charts/lines.js");
const { standaloneSvg } = await import("../dist/report/standalone.js");

const inTrain = (keys) => keys.map((one) => `train.${one}`);
const variants = {
  found: inTrain(["learning_rate=auto", "num_train_epochs=auto", "warmup_steps=0", "eval_steps=0"]),
  "by hand": inTrain([...flags.hand, "eval_split=0.1"]),
};

const file = join(flags.run, "automatic.json");
const results = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
for (const [name, set] of Object.entries(flags.summary ? {} : variants)) {
  if (results[name]) continue;
  const found = { trials: [], evals: [], load: loadavg()[0], seconds: 0 };
  await runRecipe(flags.recipe, {
    folder: flags.run,
    set: [...flags.set, "confidence=none", "calibrate=null", ...set],
    onEvent(event) {
      const ours = event.policy === "aligned";
      if (event.event === "stage" && event.stage === "train" && event.state === "done") found.seconds = event.seconds;
      else if (event.event === "trial" && ours) found.trials.push(event);
      else if (event.event === "eval" && ours) found.evals.push({ step: event.step, share: event.share });
      else if (event.event === "arrival" && ours) found.arrival = event;
      else if (event.event === "evaluation") found.rows = event.rows;
    },
  });
  results[name] = found;
  mkdirSync(flags.run, { recursive: true });
  writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
}

const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
const gain = ({ role, measured, low, high, predicted }) =>
  role === "kl"
    ? `${measured.toFixed(2)} [${low.toFixed(2)}, ${high.toFixed(2)}], optimum ${predicted.toFixed(2)}`
    : `${signed(measured)} [${signed(low)}, ${signed(high)}]${predicted === null ? "" : `, optimum ${signed(predicted)}`}`;
const names = Object.values(results)[0].rows.map(({ scorer }) => scorer);
console.log(`| | of the way | rate | steps | seconds (load) | ${names.join(" | ")} |`);
console.log(
  `| ${Array(5 + names.length)
    .fill("---")
    .join(" | ")} |`,
);
for (const [name, { arrival, trials, seconds, load, rows }] of Object.entries(results)) {
  const searched = trials.reduce((sum, { steps }) => sum + steps, 0);
  const steps = `${arrival.steps}${searched > 0 ? `, and ${trials.length} trials of ${trials[0].steps}` : ""}`;
  const cells = [`${Math.round(100 * arrival.share)} %`, arrival.learning_rate, steps];
  console.log(`| ${[name, ...cells, `${Math.round(seconds)} (${load.toFixed(1)})`, ...rows.map(gain)].join(" | ")} |`);
}

if (flags.figure) {
  const lines = Object.entries(results).map(([name, { evals, trials }]) => {
    const before = trials.reduce((sum, { steps }) => sum + steps, 0);
    const points = evals.map(({ step, share }) => [before + step, share]);
    return { name, emphasis: name === "found", points: [[before, 0], ...points] };
  });
  const label =
    "Share of the way to the optimum's loss, on pairs held back, by optimizer steps, those of the search included";
  const axes = { x: "optimizer steps, the search's included", y: "share of the way, pairs held back" };
  const drawn = lineChart(label, { ...axes, lines, wholeX: true, percentY: true });
  writeFileSync(flags.figure, standaloneSvg(drawn, { width: 660, height: 405 }));
}

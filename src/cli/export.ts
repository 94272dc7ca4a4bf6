/** `dualign export`: a run's pairs as trainers of others read them. */
import { existsSync, readdirSync } from "node:fs";
import { Argument, type Command } from "commander";
import { InputError } from "../errors.js";
import type { ExportTrainer } from "../files/exports/index.js";
import { aligned } from "../stages/context.js";
import { makeReporter } from "./progress.js";

interface Given {
  outputDir: string;
  policy: string;
  json?: boolean;
  quiet?: boolean;
}

/** Trainers of others; `src/files/exports` has a file each. */
const trainers = ["trl", "openrlhf", "llamafactory", "openai"] as const satisfies readonly ExportTrainer[];

/** Command `dualign export`. */
export function addExportCommand(program: Command): void {
  program
    .command("export")
    .description(
      "write a run's labelled pairs and options as another trainer reads them, with a note of what it cannot express",
    )
    .addArgument(
      new Argument("<trainer>", `${trainers.join(", ")}`).argParser((value): ExportTrainer => {
        const known = trainers.find((one) => one === value);
        if (known) return known;
        const hint = value === "verl" ? "verl 0.9 has no DPO trainer" : `there is no export for '${value}'`;
        throw new InputError(`${hint}: it is one of ${trainers.join(", ")}`);
      }),
    )
    .argument("<run>", "run folder that has labelled pairs")
    .requiredOption("--output-dir <dir>", "gets the files")
    .option("--policy <name>", "policy whose pairs they are, in a comparison", aligned)
    .option("--json", "write events to standard output as JSON lines")
    .option("--quiet", "write results only")
    .action(exportPairs);
}

async function exportPairs(trainer: ExportTrainer, folder: string, given: Given): Promise<void> {
  const { outputDir, policy } = given;
  if (existsSync(outputDir) && readdirSync(outputDir).length > 0)
    throw new InputError(`${outputDir} is not empty: give another --output-dir`);
  const reporter = makeReporter({ json: given.json ?? false, quiet: given.quiet });
  const start = performance.now();
  const { readRun } = await import("../store/runFolder.js");
  const { labelledPairs } = await import("../stages/train.js");
  const { guidanceOf, trainingOptions } = await import("../recipe/train.js");
  const { drawLabels } = await import("../files/exports/pairs.js");
  const { writeExport } = await import("../files/exports/index.js");
  const run = await readRun(folder);
  try {
    const pairs = await labelledPairs(run, policy);
    if (pairs.length === 0)
      throw new InputError(
        `the run in ${run.path} has no labelled pairs of '${policy}': dualign relabel ${folder} makes them`,
      );
    const { model, adapter, beta, train, seed, sampling } = run.recipe;
    const [arrival] = await run.select("arrivals", { policy });
    const { learningRate, length } = guidanceOf(train);
    const known = learningRate && arrival ? { learning_rate: arrival.learningRate } : {};
    const options = { ...trainingOptions(train), ...known };
    const drawn = drawLabels(pairs, options, seed);
    const { notes } = writeExport(outputDir, trainer, {
      ...{ model, adapter, beta, options, seed, drawn, temperature: sampling.temperature },
      guessed: [...(learningRate && !arrival ? ["learning_rate"] : []), ...(length ? ["num_train_epochs"] : [])],
    });
    for (const message of notes) reporter.emit({ event: "notice", message });
    const seconds = (performance.now() - start) / 1000;
    const counts = { pairs: pairs.length, flipped: drawn.flipped };
    reporter.emit({ event: "done", kind: "export", output_dir: outputDir, trainer, ...counts, seconds });
  } finally {
    await run.close();
    reporter.close();
  }
}

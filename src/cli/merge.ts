/** `dualign merge`: a model folder with an adapter's update in its weights. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { InputError } from "../errors.js";
import { existing } from "./common.js";
import { makeReporter } from "./progress.js";

interface Given {
  model?: string;
  adapter?: string;
  outputDir: string;
  json?: boolean;
}

/** Command `dualign merge`. */
export function addMergeCommand(program: Command): void {
  program
    .command("merge")
    .description("write a model folder that holds an adapter's update in its weights: no PEFT needed to serve it")
    .argument("[run]", "run folder: its reference and its aligned adapter")
    .option("--model <dir>", "model folder, or hub id")
    .option("--adapter <dir>", "PEFT adapter on it")
    .requiredOption("--output-dir <dir>", "gets the model, in float32")
    .option("--json", "write events to standard output as JSON lines")
    .action(merge);
}

async function merge(run: string | undefined, given: Given): Promise<void> {
  const { model, adapter } = run === undefined ? given : await ofRun(run, given);
  if (model === undefined || adapter === undefined)
    throw new InputError("merge what? give a run folder, or --model and --adapter");
  if (existsSync(join(given.outputDir, "config.json")))
    throw new InputError(`${given.outputDir} holds a model already: give another --output-dir`);
  const { mergeAdapter } = await import("../providers/onnx/merge.js");
  const reporter = makeReporter({ json: given.json ?? false });
  const start = performance.now();
  const { bytes, merged } = await mergeAdapter({
    model,
    adapter: existing("--adapter", adapter),
    outputDir: given.outputDir,
    onProgress: (done, total) => reporter.emit({ event: "progress", task: "merging", done, total, unit: "weights" }),
  });
  const seconds = (performance.now() - start) / 1000;
  reporter.emit({ event: "done", kind: "merge", output_dir: given.outputDir, merged, bytes, seconds });
  reporter.close();
}

async function ofRun(folder: string, { model, adapter }: Given): Promise<{ model: string; adapter: string }> {
  if (model !== undefined || adapter !== undefined)
    throw new InputError("a run has its own model and adapter: leave out --model and --adapter");
  const { reference, trained } = await policiesOf(folder);
  if (reference.adapter !== undefined)
    throw new InputError(
      "the run's reference has an adapter of its own, on which the trained one goes on: merge them by --model and --adapter",
    );
  if (trained.adapter === undefined)
    throw new InputError(`the run in ${folder} trained every weight: its model is merged`);
  return { model: trained.model, adapter: trained.adapter };
}

/** Places of a run's reference and of the policy that it trained. */
export async function policiesOf(folder: string) {
  const { readRun } = await import("../store/runFolder.js");
  const { referenceOf, trainedPolicy } = await import("../stages/policies.js");
  const { aligned } = await import("../stages/context.js");
  const run = await readRun(folder);
  try {
    const training = await run.training(aligned);
    if (!training) throw new InputError(`the run in ${run.path} has no trained policy yet: dualign resume ${folder}`);
    const { recipe } = run;
    const trained = trainedPolicy(run, training.path, recipe.train.use_peft);
    return { recipe, reference: referenceOf(recipe), trained };
  } finally {
    await run.close();
  }
}

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { certificateCaution } from "../dual/certificate.js";
import { InfeasibleError } from "../dual/index.js";
import { InputError } from "../errors.js";
import { type OpenScores, readScores } from "../files/scores.js";
import { trainScores } from "../stages/score.js";
import { columns } from "./columns.js";
import { infeasibleResult, type SolveResult, solveFromFile } from "./dualResult.js";
import { addStageFlags, runStage, type StageFlags } from "./stages.js";

interface Flags {
  scores?: string;
  logProbs?: string;
  beta: number;
  margin: number[];
  seed: number;
  bootstrap: number;
  json?: boolean;
}

/** The solve of a file of scores; with a run folder, a run's stage. */
export function addDualCommand(program: Command): void {
  const number = (flag: string) => (text: string) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isFinite(value)) throw new InputError(`${flag} is ${text}: give a number`);
    return value;
  };
  const whole = (flag: string) => (text: string) => {
    const value = number(flag)(text);
    if (!Number.isSafeInteger(value) || value < 0) throw new InputError(`${flag} is ${text}: give a whole number`);
    return value;
  };
  const command = program
    .command("dual")
    .description("solve for the multipliers of scored samples (with a run folder: that stage of the run)")
    .argument("[run]", "run folder")
    .option(
      "--scores <file>",
      "rows of prompt_id, reward, safety: JSON lines, CSV, Parquet, DuckDB (table scores), or a run folder",
    )
    .option("--log-probs <file>", "rows of prompt_id, ref, reward, safety: log-probabilities under PeCAN's models")
    .option("--beta <value>", "strength of the KL term", number("--beta"), 0.1)
    .option(
      "--margin <value>",
      "improvement asked of a safety score; once for each",
      (text: string, given: number[] = []) => [...given, number("--margin")(text)],
    )
    .option("--seed <value>", "of the bootstrap", whole("--seed"), 0)
    .option("--bootstrap <count>", "resamples for the intervals", whole("--bootstrap"), 1000);
  addStageFlags(command).action(async (run: string | undefined, flags: Flags & StageFlags) => {
    const given = (...names: string[]) => names.find((name) => command.getOptionValueSource(camel(name)) === "cli");
    if (run === undefined) {
      const ofRun = given("recipe", "set");
      if (ofRun) throw new InputError(`--${ofRun} starts a run: name its folder, dualign dual RUN --${ofRun} …`);
      return solve(flags);
    }
    const ofFile = given("scores", "log-probs", "beta", "margin", "seed", "bootstrap");
    if (ofFile)
      throw new InputError(
        `--${ofFile} goes with --scores or --log-probs, and a run has its recipe's: leave it out, or solve the run's scores by --scores ${run}`,
      );
    return runStage("dual", run, flags);
  });
}

const camel = (name: string) => name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());

/** Solves what the flags name and prints it. */
async function solve(flags: Flags): Promise<void> {
  const { scores, logProbs, beta, margin, seed, json } = flags;
  const file = scores ?? logProbs;
  if (file === undefined || (scores !== undefined && logProbs !== undefined)) {
    throw new InputError("give a run folder, --scores or --log-probs");
  }
  if (margin === undefined) throw new InputError("--margin is missing: give one for each safety score");
  if (beta <= 0) throw new InputError(`--beta is ${beta}: give a number above 0`);
  const options = { beta, margins: margin, seed, bootstrap: flags.bootstrap, logProbs: logProbs !== undefined };
  const source = await open(file, logProbs === undefined ? undefined : beta);
  try {
    const result = await solveFromFile(source, options);
    process.stdout.write(json ? `${JSON.stringify(result)}\n` : table(result));
    const caution = certificateCaution({ ...result, relativeKkt: result.kkt_relative });
    if (caution !== undefined) process.stderr.write(`dualign: ${caution}\n`);
  } catch (error) {
    if (json && error instanceof InfeasibleError)
      process.stdout.write(`${JSON.stringify(infeasibleResult(error, options))}\n`);
    throw error;
  } finally {
    if ("stream" in source) await source.stream.close();
  }
}

async function open(path: string, logProbsBeta: number | undefined): Promise<OpenScores> {
  const isRun = existsSync(path) && statSync(path).isDirectory() && logProbsBeta === undefined;
  if (!isRun) return readScores(path, { logProbsBeta });
  if (!existsSync(join(path, "run.duckdb"))) throw new InputError(`${path}: is a folder, but not one of a run`);
  const { readRun } = await import("../store/runFolder.js");
  const run = await readRun(path);
  try {
    return { scores: await trainScores(run) };
  } finally {
    await run.close();
  }
}

function table(result: SolveResult): string {
  const { lambda, margins, predicted, intervals, reference, ess, kl_terms } = result;
  const short = (x: number) => (Number.isFinite(x) ? String(Number(x.toPrecision(5))) : "∞");
  const range = (interval: readonly [number, number] | undefined) =>
    interval ? `[${short(interval[0])}, ${short(interval[1])}]` : "";
  const rows = [
    ["", "reference", "gain", "95 % interval", "margin", "λ", "95 % interval"],
    ["reward", short(reference.reward), short(predicted.reward_gain), range(intervals?.reward_gain), "", "", ""],
    ...lambda.map((value, j) => [
      lambda.length === 1 ? "safety" : `safety ${j + 1}`,
      short(reference.safety[j]!),
      short(predicted.safety_gain[j]!),
      range(intervals?.safety_gain[j]),
      short(margins[j]!),
      short(value),
      range(intervals?.lambda[j]),
    ]),
  ];
  const reached =
    lambda.length === 1
      ? `largest reachable margin ${short(result.max_margin)}`
      : `hardest combination [${result.combination.map(short).join(", ")}]: gain up to ${short(result.max_margin)}`;
  return `${[
    `${result.prompts} prompts, ${result.samples} samples, β = ${result.beta}`,
    ...columns(rows),
    `D(λ) = ${short(result.dual)}, KKT residual ${result.kkt.toExponential(1)}${result.converged ? "" : " (not converged)"}, KL to the reference ${short(predicted.kl)}`,
    reached,
    `effective sample size per prompt: ${short(ess.mean)} on average, ${short(ess.min)} at least`,
    ...(kl_terms ? [`KL(reference ‖ safety model): ${kl_terms.map(short).join(", ")}`] : []),
    ...(intervals && intervals.infeasible > 0
      ? [`${short(100 * intervals.infeasible)} % of the resamples cannot reach the margins`]
      : []),
  ].join("\n")}\n`;
}

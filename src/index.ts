/**
 * `dualign`: what the command line does, for programs. Run a recipe, read a run, solve the dual; train, sample and score
 * with a model. The parts are in entry points of their own: `dualign/dual`, `dualign/evaluate` and `dualign/graph` use no
 * Node module and run in a browser too; `dualign/train` holds models and trainings piece by piece.
 *
 * @module dualign
 */
export type { Device } from "./cli/jobOptions.js";
export type { CommandEvent } from "./cli/progress.js";
export { evenOffsets, type Scores } from "./dual/scores.js";
export { type DualOptions, type DualSolution, InfeasibleError, solveDual } from "./dual/solve.js";
export { InputError } from "./errors.js";
export type { Verdict } from "./evaluate/improvement.js";
export {
  computeLogprobs,
  type GenerateOptions,
  generateResponses,
  type JobModel,
  type JobOptions,
  type JobResult,
  type LogprobsOptions,
  type ScoreOptions,
  scoreResponses,
  type TrainModelOptions,
  trainModel,
} from "./library/jobs.js";
export { openRun, type Run } from "./library/openRun.js";
export {
  type DriveOptions,
  type RecipeInput,
  type RunOptions,
  type RunResult,
  resumeRun,
  runRecipe,
} from "./library/runRecipe.js";
export type { ComparisonEvent, DoneEvent, RunEvent, SolveEvent } from "./ports/events.js";
export type { EvaluationRow, PromptRow, SampleRow, ScoreTable, SolveRow } from "./ports/rows.js";
export type { StageName } from "./ports/store.js";
export type { Recipe } from "./recipe/parse.js";

/** What keeps the rows of a run: the run folder, or memory. */
import type { Recipe } from "../recipe/parse.js";
import type {
  CostRow,
  EvaluationRow,
  ExactRow,
  LogprobRow,
  MultiplierRow,
  PairRow,
  PredictionRow,
  PromptRow,
  SampleRow,
  ScoreRow,
  ScoreTable,
  ShareRow,
  SolveRow,
  Split,
  TrainingRow,
  VerdictRow,
  WinRateRow,
} from "./rows.js";
import type { RowOf, StageName, TableName } from "./tables.js";
import type { TrainStep } from "./trainer.js";

export type { StageName } from "./tables.js";

/** Origin of a run: what it was started with. */
export interface RunOrigin {
  /** The recipe as the user wrote it; empty where flags made it. */
  recipeText: string;
  /** Of the checked recipe, in hexadecimal. */
  recipeSha256: string;
  /** Of dualign and of what it runs on. */
  versions: Readonly<Record<string, string>>;
  /** ISO 8601. */
  started: string;
}

/**
 * Attempt: a question put to a run's samples. A run keeps every attempt that was made in it, and each is a recipe of its
 * own: another margin, β, choice of pairs, training or scorer. What is bought once is shared, by the names of rows:
 *
 * - Samples of the reference belong to the run. Recipes that would draw others (model, prompts, sampling) are no attempt of
 *   it: they need a run of their own.
 * - Rows of a policy (solves, predictions, pairs, trainings, evaluations …) are under the policy's name in every table. An
 *   attempt that makes a policy anew gives it a name of its own, `aligned@2` in the second; one that takes it over leaves
 *   it as it is called.
 * - Scores are under the scorer's name. One whose content has changed gets a name with its fingerprint, `harmless@1f3a9c20`,
 *   so that a scorer which comes back finds its scores again.
 * - Stages are done attempt by attempt; those that a recipe's change does not touch are taken over as done.
 *
 * So no table but `stages` knows of attempts, nor does any stage: the store puts rows away under the attempt's names and
 * gives them out under the recipe's. `attempts.row_names` has the names that differ; the run's first attempt has none. Only
 * folders of trainings are asked for by name ({@link RunStore.rowName}).
 */
export type Attempt = RowOf<"attempts">;

/** Attempt to begin. */
export interface NewAttempt {
  readonly recipe: Recipe;
  readonly recipeText: string;
  /** Name for people; its number if absent. */
  readonly label?: string;
  /** Names of rows by the recipe's names, of the policies and scorers that it makes anew. */
  readonly rowNames?: Readonly<Record<string, string>>;
  /** Stages that are done as they are: nothing of them depends on what has changed. */
  readonly takenOver: readonly StageName[];
}

/** Condition on rows: these columns have these values. */
export type Where<Name extends TableName> = {
  readonly [K in keyof RowOf<Name>]?: RowOf<Name>[K] | AtLeast<RowOf<Name>[K]>;
};

/** Bound in place of a value: the column's value is this or greater. */
export interface AtLeast<Value> {
  readonly atLeast: Value;
}

/** Further conditions on rows that belong to a prompt or to a sample. */
export interface Selection<Other extends TableName = TableName> {
  /** Their prompt is in this split. */
  readonly split?: Split;
  /** No such row of another table has their prompt, sample, and what else both tables have for keys. */
  readonly without?: { readonly table: Other; readonly where: Where<Other> };
}

/**
 * Rows of a run. Every change is one transaction: after a kill the rows are there or they are not, all of them.
 * Any table is read and written by the first three; the others put names to what the stages ask for.
 */
export interface RunStore {
  /** The run's folder, absolute. */
  readonly path: string;
  /** Of the attempt. */
  readonly recipe: Recipe;
  readonly origin: RunOrigin;
  /** Attempt that the store works on: the latest, unless another was asked for. */
  readonly attempt: Attempt;

  attempts(): Promise<Attempt[]>;
  /** Same run at work on another of its attempts. */
  at(attempt: Attempt): RunStore;
  /** Begins another attempt, from this one, and gives the run at work on it; this object stays at work on its own. */
  begin(attempt: NewAttempt): Promise<RunStore>;
  /** Name in the rows of a policy or scorer of the attempt's recipe. */
  rowName(name: string): string;

  /** @throws an error where a row of the same key is there already. */
  add<Name extends TableName>(table: Name, rows: readonly RowOf<Name>[]): Promise<void>;
  /** Puts rows in the place of those that the condition is true of. */
  replace<Name extends TableName>(table: Name, where: Where<Name>, rows: readonly RowOf<Name>[]): Promise<void>;
  /** Rows by their key, or as they were added where the table says so. */
  select<Name extends TableName>(table: Name, where?: Where<Name>, more?: Selection): Promise<RowOf<Name>[]>;

  isDone(stage: StageName): Promise<boolean>;
  markDone(stage: StageName, seconds: number): Promise<void>;
  /** Of a stage that is done, since it was last started. */
  stageSeconds(stage: StageName): Promise<number | undefined>;

  addPrompts(rows: readonly PromptRow[]): Promise<void>;
  prompts(split?: Split): Promise<PromptRow[]>;

  addSamples(rows: readonly SampleRow[]): Promise<void>;
  samples(policy: string, split: Split): Promise<SampleRow[]>;
  /** The keys of the samples there, `prompt` and `sample` by row. */
  sampleKeys(policy: string, split: Split): Promise<{ prompt: number; sample: number }[]>;
  /** Tokens of those samples, end tokens included. */
  sampledTokens(policy: string, split: Split): Promise<number>;

  addScores(rows: readonly ScoreRow[]): Promise<void>;
  /** Samples that a scorer has not scored. */
  unscored(policy: string, split: Split, scorer: string): Promise<SampleRow[]>;
  scoreTable(policy: string, split: Split, scorers: readonly string[]): Promise<ScoreTable>;

  addLogprobs(rows: readonly LogprobRow[]): Promise<void>;
  /** Samples whose log-probability under a policy is not known. */
  withoutLogprob(policy: string, split: Split, under: string): Promise<SampleRow[]>;
  logprobs(policy: string, split: Split, under: string): Promise<LogprobRow[]>;

  /** Takes the place of what the run has under the same policy. */
  setPairs(policy: string, rows: readonly PairRow[]): Promise<void>;
  pairs(policy: string): Promise<PairRow[]>;
  setSolve(row: SolveRow): Promise<void>;
  solve(policy: string): Promise<SolveRow | undefined>;
  setPrediction(row: PredictionRow): Promise<void>;
  prediction(policy: string): Promise<PredictionRow | undefined>;
  addTrainSteps(policy: string, steps: readonly TrainStep[]): Promise<void>;
  trainSteps(policy: string): Promise<TrainStep[]>;
  setTraining(row: TrainingRow): Promise<void>;
  training(policy: string): Promise<TrainingRow | undefined>;
  setEvaluations(policy: string, rows: readonly EvaluationRow[]): Promise<void>;
  evaluations(policy: string): Promise<EvaluationRow[]>;
  setShares(policy: string, rows: readonly ShareRow[]): Promise<void>;
  shares(policy: string): Promise<ShareRow[]>;
  addVerdicts(rows: readonly VerdictRow[]): Promise<void>;
  verdicts(judge: string, policy: string): Promise<VerdictRow[]>;
  setWinRates(policy: string, rows: readonly WinRateRow[]): Promise<void>;
  winRates(policy: string): Promise<WinRateRow[]>;
  /** Takes the place of all such rows. */
  setExact(rows: readonly ExactRow[]): Promise<void>;
  /** Only for a run whose recipe asks to enumerate. */
  exact(): Promise<ExactRow[]>;
  /** Adds to what the run has under the same policy and activity. */
  addCost(row: CostRow): Promise<void>;
  costs(): Promise<CostRow[]>;
  setMultiplier(row: MultiplierRow): Promise<void>;
  multipliers(policy: string): Promise<MultiplierRow[]>;

  close(): Promise<void>;
}

/**
 * What the algorithms need from the world around them: models that sample and score, a trainer, a store for the rows.
 * The command line gives the real ones (`cli/tools.ts`), tests give toys.
 */
import type { Judge, Preference, Question } from "../judge/judge.js";
import type { Text } from "../text/rows.js";
import type { DpoObjective, Sampling, Training } from "./options.js";
import type { ConstraintSpec, JudgeSpec, PreferenceSource, PromptSource, Recipe, ScorerSpec } from "./recipe.js";

/** The stages of a run; which ones it has, and in which order, is its method's. */
export type StageName =
  | "pretrain"
  | "sample"
  | "score"
  | "logprobs"
  | "dual"
  | "relabel"
  | "train"
  | "evaluate"
  | "report";

/** Where a policy lies: a model folder or hub id, and a PEFT adapter on it. */
export interface PolicyRef {
  model: string;
  adapter?: string;
  /** Divides its logits wherever it samples, weighs or trains: the policy is the model as decoded at this temperature. */
  temperature?: number;
}

export type FinishReason = "stop" | "length";

/** Samples wanted of one prompt. A sample's random stream follows from (seed, promptIndex, sampleIndex) alone. */
export interface SampleJob {
  prompt: Text;
  promptIndex: number;
  sampleIndexes: readonly number[];
}

export interface PolicySample {
  promptIndex: number;
  sampleIndex: number;
  response: string;
  responseIds: readonly number[];
  /** Sequence log-probability at the policy's temperature, in nats; the end token counts where it was drawn. */
  logprob: number;
  finishReason: FinishReason;
}

/** A response as it was sampled: its tokens are taken as they are, and an end token follows where it stopped. */
export interface SampledResponse {
  prompt: Text;
  response: string;
  responseIds: readonly number[];
  finishReason: FinishReason;
}

/** A value for the row at `index` of those asked for; rows come in the order in which they are done. */
export interface RowValue {
  index: number;
  value: number;
}

/** A language model ready to sample. */
export interface Policy {
  readonly hasChatTemplate: boolean;
  /** Floating-point operations of a forward pass, for each token: what a run's bill counts with. */
  readonly flopsPerToken?: number;
  /** The same for models that give a text the same tokens: only those can weigh each other's responses. */
  readonly vocabulary?: string;
  sample(jobs: readonly SampleJob[], options: Sampling & { seed: number }): AsyncIterable<PolicySample>;
  /** Sequence log-probabilities, in nats. */
  logprobs(rows: readonly SampledResponse[]): AsyncIterable<RowValue>;
  /** Every response of at most `maxNewTokens` tokens to a prompt, where these are no more than `most`; their number. */
  enumerate?(prompt: Text, maxNewTokens: number, most: number): { total: number; responses?: EnumeratedResponse[] };
  close(): Promise<void>;
}

export type EnumeratedResponse = Omit<SampledResponse, "prompt">;

/** A score function as its model or module gives it, before the recipe's sign and scale. */
export interface Scorer {
  /** As a policy's. */
  readonly flopsPerToken?: number;
  score(rows: readonly SampledResponse[]): AsyncIterable<RowValue>;
  close(): Promise<void>;
}

/** A preference between two sampled responses: `chosen` is better with this probability (1 for a hard label). */
export interface LabelledPair {
  prompt: Text;
  chosen: SampledResponse & { logprob: number };
  rejected: SampledResponse & { logprob: number };
  probability: number;
  /** For `loss_type: regression`: the difference of log-ratios ln π/π_ref, chosen minus rejected, that the optimum has. */
  target?: number;
}

/** A preference as people give it. `safe`: whether chosen and rejected are safe, where the data says. */
export interface PreferencePair {
  prompt: Text;
  chosen: Text;
  rejected: Text;
  safe?: readonly [chosen: boolean, rejected: boolean];
}

export interface DpoJob {
  reference: PolicyRef;
  /** A response's `logprob` is its log-probability under the reference. */
  pairs: readonly LabelledPair[];
  beta: number;
  options: Training & DpoObjective;
  seed: number;
  /** Gets the adapter (or the model, without `use_peft`), and checkpoints from which a killed training goes on. */
  outputDir: string;
}

/** Plain DPO on preference data: the trainer tokenizes as `dualign train dpo` does and weighs the reference by itself. */
export interface PreferenceJob {
  reference: PolicyRef;
  pairs: readonly PreferencePair[];
  beta: number;
  options: Training & DpoObjective;
  seed: number;
  /** As in {@link DpoJob}. */
  outputDir: string;
}

export interface SafeRlhfJob {
  reference: PolicyRef;
  /** Rollouts start from these. */
  prompts: readonly PromptRow[];
  reward: ScorerSpec;
  safety: readonly ConstraintSpec[];
  /** The reference's mean of every safety score on the prompts: margins are above it. */
  referenceSafety: readonly number[];
  beta: number;
  sampling: Sampling;
  /** `train` of the recipe, for the adapter and the optimizer. */
  train: Training;
  /** `compare.safe_rlhf` of the recipe, to be checked by the trainer. */
  options: Readonly<Record<string, unknown>>;
  seed: number;
  /** As in {@link DpoJob}. */
  outputDir: string;
}

export interface SafeRlhfIteration extends Omit<MultiplierRow, "policy"> {
  /** Mean reward and KL to the reference of the rollouts. */
  reward: number;
  kl: number;
}

/** One optimizer step, as TRL logs it. */
export interface TrainStep {
  step: number;
  /** Steps of the whole training. */
  steps: number;
  loss: number;
  learning_rate: number;
  grad_norm: number;
  /** Tokens that went through the model in this step, prompts included. */
  tokens?: number;
  /** Floating-point operations of its matrix products. */
  flops?: number;
  /** `rewards/margins` and the like. */
  [metric: `${string}/${string}`]: number;
}

/** The machinery that the stages drive. */
export interface Tools {
  readPrompts(source: PromptSource): Promise<Text[]>;
  openPolicy(ref: PolicyRef): Promise<Policy>;
  openScorer(spec: ScorerSpec): Promise<Scorer>;
  /** Trains to the end, going on from the last checkpoint in `outputDir` where there is one. */
  trainDpo(job: DpoJob): AsyncIterable<TrainStep>;
  /** The preferences of a file or dataset: `run/preferenceFile.ts` reads the files. */
  readPreferences(source: PreferenceSource): Promise<PreferencePair[]>;
  /** As {@link trainDpo}, from preference data. */
  trainPreferences(job: PreferenceJob): AsyncIterable<TrainStep>;
  /** `run/openJudge.ts` opens every kind. */
  openJudge(spec: JudgeSpec): Promise<Judge>;
  /** The process's peak memory since the last call, in bytes. */
  peakMemory?(): number;
  /** PPO-Lagrangian, going on from the last checkpoint in `outputDir` where there is one. */
  trainSafeRlhf?(job: SafeRlhfJob): AsyncIterable<SafeRlhfIteration>;
  /** Writes the run's report and gives its path. */
  writeReport(run: RunStore): Promise<string>;
}

export type Split = "train" | "held-out";

export interface PromptRow {
  /** Unique in the run, over both splits. */
  prompt: number;
  split: Split;
  text: Text;
}

/** A response in the run; (policy, prompt, sample) is its key. */
export interface SampleRow {
  policy: string;
  prompt: number;
  sample: number;
  response: string;
  responseIds: readonly number[];
  logprob: number;
  finishReason: FinishReason;
}

export interface ScoreRow {
  policy: string;
  prompt: number;
  sample: number;
  scorer: string;
  score: number;
}

export interface LogprobRow {
  policy: string;
  prompt: number;
  sample: number;
  /** The policy under which the response was weighed. */
  under: string;
  logprob: number;
}

/** A pair of one prompt's reference samples. `probability`: that `first` is preferred under r_λ. */
export interface PairRow {
  /** The policy that trains on it. */
  policy: string;
  pair: number;
  prompt: number;
  first: number;
  second: number;
  probability: number;
  /** The difference in r_λ of which it is the sigmoid. */
  difference: number;
  /** What the training sees: the probability itself (soft), or a draw from it (1 or 0). */
  label: number;
}

/** A solved dual. Arrays have one value for each constraint, in the recipe's order. */
export interface SolveRow {
  policy: string;
  beta: number;
  margins: readonly number[];
  lambda: readonly number[];
  dual: number;
  kkt: number;
  maxMargin: readonly number[];
  rewardGain: number;
  safetyGain: readonly number[];
  kl: number;
  essMean: number;
  essMin: number;
  /** d_j = KL(π_ref ‖ π_gj) of PeCAN's safety models; null in MoCAN. */
  klTerms: readonly number[] | null;
}

export interface TrainingRow {
  policy: string;
  /** Relative to the run folder. */
  path: string;
  pairs: number;
  steps: number;
  seconds: number;
}

export type Verdict = "held" | "not held" | "undecided";

/** How a policy's score changed from the reference's on the held-out prompts. */
export interface EvaluationRow {
  policy: string;
  scorer: string;
  role: "reward" | "safety" | "held-out" | "kl";
  reference: number;
  aligned: number;
  predicted: number | null;
  measured: number;
  low: number;
  high: number;
  margin: number | null;
  verdict: Verdict | null;
}

/** A judge's verdict on a pair of responses to a held-out prompt, in one of the two orders. */
export interface VerdictRow {
  judge: string;
  /** Its response `sample` is compared with the reference's of the same number. */
  policy: string;
  prompt: number;
  sample: number;
  /** Whether the judge saw the policy's response first. */
  policyFirst: boolean;
  preference: Preference;
  answer: string | null;
}

/** How often a policy's responses beat the reference's, in a judge's eyes. */
export interface WinRateRow {
  policy: string;
  judge: string;
  question: Question;
  /** Pairs judged, and those among them that were won in both orders, lost in both, or neither. */
  pairs: number;
  wins: number;
  losses: number;
  ties: number;
  /** Pairs with an unreadable verdict: they are in none of the other counts. */
  unreadable: number;
  /** Share of the pairs in which the order decided: the judge's position bias. */
  swayed: number;
  /** Ties count half; mean over prompts, and its bootstrap interval. */
  rate: number;
  low: number;
  high: number;
}

/** Whose scores state a comparison's problem: the scorers', or those of the models of preferences. */
export type ProblemName = "scorers" | "preferences";

/**
 * A policy against the exact optimum π* of a problem, every response to the held-out prompts counted with its
 * probability. Violations are b_j − the gain, a value for each constraint: positive where the margin is missed.
 */
export interface ExactRow {
  /** 'reference', 'optimum' for π* itself, or a trained policy. */
  policy: string;
  problem: ProblemName;
  /** The exact λ* for 'optimum'; what a trained policy was trained for, where that is this problem. */
  lambda: readonly number[] | null;
  /** KL(π ‖ π*), in nats; null where no policy reaches the margins. */
  klToOptimum: number | null;
  /** KL(π ‖ p_λ) to the exact optimum of the policy's own λ. */
  klToOwn: number | null;
  /** KL(π ‖ π_ref). */
  kl: number;
  rewardGain: number;
  safetyGain: readonly number[];
  violation: readonly number[];
  /** That of the exact p_λ, and what the offline solve said of p_λ from samples. */
  ownViolation: readonly number[] | null;
  predictedViolation: readonly number[] | null;
  /** E r − β KL(π ‖ π_ref): that of π* minus the policy's. Below 0 where a policy buys reward with safety. */
  objectiveGap: number | null;
}

/** An iteration of a method that moves λ as it trains. */
export interface MultiplierRow {
  policy: string;
  /** From 1. */
  iteration: number;
  /** λ in this iteration. */
  lambda: readonly number[];
  /** Gain in every safety score over the reference, measured on the training prompts. */
  gain: readonly number[];
  tokensSampled: number;
  tokensTrained: number;
  /** Floating-point operations of all of the iteration, where they were counted. */
  flops?: number | null;
}

/** What work on a policy took; several entries of the same work add up. */
export interface CostRow {
  policy: string;
  activity: string;
  seconds: number;
  /** Of the model that did it; null where it is not known. */
  flopsPerToken: number | null;
  /** Null where it is not known. */
  peakMemoryBytes: number | null;
}

/** What a run was started with. */
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

/** Scores of a split's samples in columns, ordered by prompt and sample. */
export interface ScoreTable {
  prompt: Int32Array;
  sample: Int32Array;
  /** By scorer, in the order asked for. */
  columns: Float64Array[];
}

/**
 * The rows of a run. Every `add` is one transaction: after a kill the rows are there or they are not, all of them.
 */
export interface RunStore {
  /** The run's folder, absolute. */
  readonly path: string;
  readonly recipe: Recipe;
  readonly origin: RunOrigin;

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
  unweighed(policy: string, split: Split, under: string): Promise<SampleRow[]>;
  logprobs(policy: string, split: Split, under: string): Promise<LogprobRow[]>;

  /** Takes the place of what the run has under the same policy. */
  setPairs(policy: string, rows: readonly PairRow[]): Promise<void>;
  pairs(policy: string): Promise<PairRow[]>;
  setSolve(row: SolveRow): Promise<void>;
  solve(policy: string): Promise<SolveRow | undefined>;
  addTrainSteps(policy: string, steps: readonly TrainStep[]): Promise<void>;
  trainSteps(policy: string): Promise<TrainStep[]>;
  setTraining(row: TrainingRow): Promise<void>;
  training(policy: string): Promise<TrainingRow | undefined>;
  setEvaluations(policy: string, rows: readonly EvaluationRow[]): Promise<void>;
  evaluations(policy: string): Promise<EvaluationRow[]>;
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

/** What a run tells while it goes; the command line prints it, or writes it as JSON lines. */
export type RunEvent =
  | { event: "stage"; stage: StageName; state: "started" | "done" | "skipped"; seconds?: number }
  | { event: "progress"; stage: StageName; task: string; done: number; total: number; unit: string }
  | ({ event: "step"; policy?: string } & TrainStep)
  | SolveEvent
  | { event: "evaluation"; rows: EvaluationRow[] }
  | { event: "judged"; rows: WinRateRow[] }
  | ({ event: "multiplier" } & MultiplierRow)
  | DoneEvent
  | ComparisonEvent;

export interface SolveEvent {
  event: "solve";
  policy: string;
  lambda: number[];
  kkt: number;
  predicted: Prediction;
  ess: { mean: number; min: number };
  /** Where the solution misses its certificate. */
  caution?: string;
  /** PeCAN's d_j, and what each margin asks for in words. */
  kl_terms?: number[];
  meaning?: string[];
}

export interface Prediction {
  reward_gain: number;
  safety_gain: number[];
  kl: number;
}

export interface ConstraintVerdict {
  constraint: string;
  margin: number;
  predicted: number;
  measured: number;
  interval: [number, number];
  verdict: Verdict;
}

export interface DoneEvent {
  event: "done";
  lambda: number[];
  verdicts: ConstraintVerdict[];
  reward: { predicted: number; measured: number; interval: [number, number] };
  report: string;
}

/** A policy of a comparison. Lists hold one value for each of the recipe's safety scorers, or of PeCAN's models. */
export interface ComparisonRow {
  method: string;
  /** The name of its rows in the run; methods that train the same policy share them. */
  policy: string;
  lambda: readonly number[] | null;
  /** What the dual said beforehand, in the scores that it was solved in. */
  predicted: ComparedGain[] | null;
  /** The same scores, measured. */
  solved: ComparedGain[] | null;
  reward: ComparedGain;
  safety: (ComparedGain & { margin: number; verdict: Verdict })[];
  kl: { measured: number; interval: [number, number] };
  win_rates: { judge: string; question: Question; rate: number; interval: [number, number]; unreadable: number }[];
  /** Where the recipe asks to enumerate: against π* of the scorers' problem, and of PeCAN's own. */
  exact?: ExactFigures[];
  bill: Bill;
}

/** An {@link ExactRow} of one policy. */
export interface ExactFigures {
  problem: ProblemName;
  kl_to_optimum: number | null;
  kl_to_own: number | null;
  kl: number;
  reward_gain: number;
  safety_gain: readonly number[];
  violation: readonly number[];
  own_violation: readonly number[] | null;
  predicted_violation: readonly number[] | null;
  objective_gap: number | null;
}

/** A problem's exact optimum on the held-out prompts. */
export interface ExactProblem {
  problem: ProblemName;
  prompts: number;
  /** Enumerated, all prompts together. */
  responses: number;
  /** The exact λ*, and the one that the solve found from samples of the training prompts. */
  lambda: readonly number[] | null;
  sampled_lambda: readonly number[] | null;
  /** Null where no policy reaches the margins. */
  optimum: ExactFigures | null;
  reference: ExactFigures;
}

export interface ComparedGain {
  scorer: string;
  gain: number;
  interval: [number, number];
}

/** All that a method took to its trained policy, what it shares with others included; the evaluation is not. */
export interface Bill {
  /** Policies trained. */
  trainings: number;
  tokens_sampled: number;
  tokens_trained: number;
  /** Of matrix products; null where a part is not known. */
  flops: number | null;
  seconds: number;
  peak_memory_bytes: number | null;
}

export interface ComparisonEvent {
  event: "done";
  policies: ComparisonRow[];
  exact?: ExactProblem[];
  report: string;
}

export type Emit = (event: RunEvent) => void;

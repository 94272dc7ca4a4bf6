/**
 * What a run reports while it goes. The command line prints it, or writes it as JSON lines: these shapes are an API.
 * The file is long because an event's name, its description and its shape stand in one place.
 */

import type { SnakeRow } from "./columns.js";
import type { Question } from "./judge.js";
import type {
  AimRow,
  CalibrationRow,
  EvaluationRow,
  ExactRow,
  LookRow,
  MultiplierRow,
  ProblemName,
  ShareRow,
  StrengthRow,
  Verdict,
  WinRateRow,
} from "./rows.js";
import type { StageName } from "./store.js";
import type { TrainArrival, TrainStep, TrainTrial } from "./trainer.js";

/**
 * Events by name, and when each is reported. Names and fields are in snake case, and each event has one shape: they are
 * an API. The reference of events in the docs is made from this table and the types below.
 */
export const eventDescriptions = {
  check:
    "Before anything is spent: what the recipe's parts gave on a few responses, and what the run is going to take.",
  doctor: "What this machine, a model, a server or an interpreter is fit for, each by trying it.",
  stage: "A stage starts, has come to its end, or was done before.",
  progress: "Now and then while rows are made: how many of them there are.",
  notice: "Something the user should know and need not act on.",
  training_rows: "Before a training's first step: what became of its rows.",
  trial: "A learning rate was tried from the start of a training.",
  step: "An optimizer step, or as many as are logged together.",
  eval: "A training was measured on the rows that it keeps for evaluation.",
  arrival: "A training with rows kept for evaluation has ended: how far it came.",
  solve: "A problem's dual is solved for a policy.",
  prediction: "A policy whose λ was given has its prediction.",
  multiplier: "A method that moves λ as it trains has ended an iteration.",
  aim: "A solve aims beyond its margins, so that they hold with the confidence asked.",
  strength: "A strength of the trained policy is tested on the calibration prompts.",
  calibration: "The trained policy's strength is chosen.",
  look: "A round of held-out responses is scored: whether the verdict is decided.",
  shares: "The shares of unsafe responses before and after are known.",
  evaluation: "A policy's held-out responses are scored and compared with the reference's.",
  judged: "A policy's held-out responses are judged against the reference's.",
  done: "The last event of a command that came to its end; its kind says of which.",
} as const satisfies Readonly<Record<AnyEvent["event"], string>>;

/** Kinds of the event `done`. */
export const doneDescriptions = {
  run: "A run that has one policy: mocan, pecan, resume, quickstart.",
  comparison: "A comparison: every policy, measured alike.",
  train: "`dualign train`: the adapter or model is written.",
  generate: "`dualign generate`: the responses are written.",
  merge: "`dualign merge`: the merged model is written.",
  export: "`dualign export`: the pairs are written for another trainer.",
  logprobs: "`dualign logprobs`: the log-probabilities are written.",
  score: "`dualign score`: the scores are written.",
} as const satisfies Readonly<Record<Extract<AnyEvent, { event: "done" }>["kind"], string>>;

/** Event of any command. The command line prints it, or writes it as JSON lines. */
export type AnyEvent =
  | CheckEvent
  | DoctorEvent
  | StageEvent
  | ProgressEvent
  | NoticeEvent
  | TrainingRowsEvent
  | TrialEvent
  | StepEvent
  | EvalEvent
  | ArrivalEvent
  | SolveEvent
  | PredictionEvent
  | MultiplierEvent
  | AimEvent
  | StrengthEvent
  | CalibrationEvent
  | LookEvent
  | SharesEvent
  | EvaluationEvent
  | JudgedEvent
  | DoneEvent
  | ComparisonEvent
  | CommandDone;

/** Event of a run. */
export type RunEvent = Exclude<AnyEvent, CommandDone>;

/** Start or end of a stage. */
export interface StageEvent {
  event: "stage";
  stage: StageName;
  state: "started" | "done" | "skipped";
  /** Of a stage that is done now. */
  seconds?: number;
}

/** Progress of a task: `done` of `total`. */
export interface ProgressEvent {
  event: "progress";
  /** Stage of a run. */
  stage?: StageName;
  task: string;
  done: number;
  total: number;
  /** Name of what is counted. */
  unit: string;
}

/** Notice: printed on standard error in every mode. */
export interface NoticeEvent {
  event: "notice";
  message: string;
}

/** Rows or pairs of a training by what became of them. */
export interface TrainingRowsEvent {
  event: "training_rows";
  policy: string;
  training: number;
  evaluation: number;
  left_out: number;
  cut: number;
  /** Pairs with the same tokens as chosen and as rejected; left out where there are none. */
  alike?: number;
}

/** Trial of a learning rate. */
export type TrialEvent = { policy?: string } & TrainTrial;

/** Optimizer step, as TRL logs it. */
export type StepEvent = { event: "step"; policy?: string } & TrainStep;

/** Means on the rows that a training keeps for evaluation. */
export interface EvalEvent {
  event: "eval";
  policy?: string;
  step: number;
  loss: number;
  /** How much of the way to the optimum's loss it came; null where that is not known. */
  share: number | null;
  [metric: string]: number | string | null | undefined;
}

/** End of a training with rows kept for evaluation. */
export type ArrivalEvent = { policy?: string } & TrainArrival;

/** Iteration of a method that moves λ as it trains. */
export interface MultiplierEvent extends SnakeRow<MultiplierRow> {
  event: "multiplier";
}

/** Aim of a solve: the row of the table `aims`. */
export interface AimEvent extends SnakeRow<AimRow> {
  event: "aim";
}

/** Test of a strength: the row of the table `strengths`. */
export interface StrengthEvent extends SnakeRow<StrengthRow> {
  event: "strength";
}

/** Strength that is delivered: the row of the table `calibrations`. */
export interface CalibrationEvent extends SnakeRow<CalibrationRow> {
  event: "calibration";
}

/** Look at the held-out gains: the row of the table `looks`. */
export interface LookEvent extends SnakeRow<LookRow> {
  event: "look";
}

/** Shares of unsafe responses: rows of the table `shares`. */
export interface SharesEvent {
  event: "shares";
  rows: ShareFigures[];
}

/** Row of the table `shares`. */
export interface ShareFigures extends SnakeRow<ShareRow> {}

/** Changes of a policy's scores from the reference's. */
export interface EvaluationEvent {
  event: "evaluation";
  rows: EvaluationFigures[];
}

/** Row of the table `evaluations`. */
export interface EvaluationFigures extends SnakeRow<EvaluationRow> {}

/** Win rates of a policy, one of each judge. */
export interface JudgedEvent {
  event: "judged";
  rows: WinRateFigures[];
}

/** Row of the table `win_rates`. */
export interface WinRateFigures extends SnakeRow<WinRateRow> {}

/** End of a command that works without a run. */
export type CommandDone = TrainDone | GenerateDone | LogprobsDone | ScoreDone | MergeDone | ExportDone;

/** End of `dualign train`. */
export interface TrainDone {
  event: "done";
  kind: "train";
  output_dir: string;
  /** Rows trained on. */
  rows: number;
  rows_left_out?: number;
  rows_cut?: number;
  /** Of the last step. */
  loss?: number;
  steps?: number;
  seconds: number;
  train_seconds: number;
  /** Without the reference passes: the steps alone, evaluations included. */
  step_seconds: number;
  step_flops: number;
  tokens: number;
  tokens_per_second: number;
  rows_per_second: number;
  peak_memory_bytes: number;
}

/** End of `dualign generate`. */
export interface GenerateDone {
  event: "done";
  kind: "generate";
  output: string;
  samples: number;
  new_tokens: number;
  seconds: number;
  generate_seconds: number;
  tokens_per_second: number;
  peak_memory_bytes: number;
}

/** End of `dualign logprobs`. */
export interface LogprobsDone {
  event: "done";
  kind: "logprobs";
  output: string;
  rows: number;
  mean_logprob: number;
  seconds: number;
  peak_memory_bytes: number;
}

/** End of `dualign score`. */
export interface ScoreDone {
  event: "done";
  kind: "score";
  output: string;
  rows: number;
  mean_score: number;
  /** Rows that lost their beginning to the model's longest input. */
  rows_cut: number;
  seconds: number;
  peak_memory_bytes: number;
}

/** End of `dualign merge`. */
export interface MergeDone {
  event: "done";
  kind: "merge";
  output_dir: string;
  /** Weights that the adapter changed. */
  merged: number;
  /** Size of the weights written. */
  bytes: number;
  seconds: number;
}

/** End of `dualign export`. */
export interface ExportDone {
  event: "done";
  kind: "export";
  output_dir: string;
  trainer: string;
  pairs: number;
  /** Pairs whose drawn label is against the likelier response. */
  flipped: number;
  seconds: number;
}

/** Findings of `dualign doctor`. */
export interface DoctorEvent {
  event: "doctor";
  /** Whether all that was asked for is fit; the exit status is 2 where it is not. */
  fit: boolean;
  findings: DoctorFinding[];
  /** Estimates of a model's memory, where one was named. */
  memory?: {
    parameters: number;
    /** Weights in float32, as the embedded engine computes. */
    weights_bytes: number;
    /** Sampling and training an adapter on the embedded engine, at the defaults of recipes. */
    sample_bytes: number;
    train_bytes: number;
    /** Weights on a server in bf16, and its cache of keys and values for a token. */
    served_bytes: number;
    served_cache_bytes_per_token: number;
    /** Memory of this machine. */
    total_bytes: number;
    free_bytes: number;
  };
}

/** Finding of `dualign doctor`. */
export interface DoctorFinding {
  /** What was tried: "node", "cpu", "webgpu", "cuda", "database", "model", "sample", "log-probabilities", "trl" … */
  name: string;
  /** Outcome: `absent` where nothing asked for it. */
  state: "fit" | "unfit" | "absent";
  /** What was found, in words. */
  detail: string;
  /** What to do about it, where something can be done. */
  remedy?: string;
}

/** Findings of the check before anything is spent. */
export interface CheckEvent {
  event: "check";
  /** Prompts by split, and where they come from. */
  prompts: { train: number; calibration?: number; held_out: number; file: string };
  /** Responses that the run is going to draw of the reference, and of each trained policy. */
  responses: { reference: number; policy: number };
  /** What was tried: responses, seconds by part of the recipe, and how many responses were cut at the tried length. */
  tried: { responses: number; seconds: Record<string, number>; cut: number };
  estimate: {
    /** Upper bound: every response at its longest, at the rate of the tried ones. */
    sampling_seconds: number;
    scoring_seconds: number;
    /** Effective samples among those tried of a prompt, at the recipe's β and λ = 0. */
    effective_samples?: number;
    peak_memory_bytes?: number;
  };
  seed: number;
}

/** Receiver of sentences that the user should know and need not act on: the message of a `notice` event. */
export type Notice = (message: string) => void;

/** Solution of the dual, with its certificate and its predictions. */
export interface SolveEvent {
  event: "solve";
  policy: string;
  /** λ, one for each constraint. */
  lambda: number[];
  /** KKT residual: the certificate. */
  kkt: number;
  predicted: Prediction;
  /** Effective sample size of a prompt: mean and least over the prompts. */
  ess: { mean: number; min: number };
  /** Where the solution misses its certificate. */
  caution?: string;
  /** KL divergence of the reference from each of PeCAN's safety models, d_j, in nats. */
  kl_terms?: number[];
  /** Meaning of each margin in words. */
  meaning?: string[];
}

/** Prediction of a policy whose λ was given. */
export interface PredictionEvent {
  event: "prediction";
  policy: string;
  lambda: number[];
  predicted: Prediction;
  /** Effective samples per prompt. */
  ess: { mean: number; min: number };
}

/** Prediction for the policy of a solution, on the prompts it was solved on. */
export interface Prediction {
  /** Gain in the reward over the reference. */
  reward_gain: number;
  /** Gain in each safety score. */
  safety_gain: number[];
  /** KL divergence from the reference, in nats. */
  kl: number;
}

/** Verdict on a margin: what was predicted, and what the held-out prompts gave. */
export interface ConstraintVerdict {
  /** Name of the safety score. */
  constraint: string;
  margin: number;
  /** Gain that the solve predicted. */
  predicted: number;
  /** Gain on the held-out prompts, and its bootstrap interval. */
  measured: number;
  interval: [number, number];
  verdict: Verdict;
}

/** End of a run that has one policy. */
export interface DoneEvent {
  event: "done";
  kind: "run";
  /** λ, one for each constraint. */
  lambda: number[];
  verdicts: ConstraintVerdict[];
  reward: { predicted: number; measured: number; interval: [number, number] };
  /** Strength that the policy is delivered at, where a confidence was asked. */
  calibration?: { confidence: number; strength: number; outcome: CalibrationRow["outcome"]; reason: string | null };
  /** How far the training came of the way to its optimum, in DPO's loss; null where that is not known. */
  training: {
    share: number | null;
    basis: "held back" | "trained on";
    kl: { measured: number; interval: readonly [number, number]; predicted: number } | null;
    cautions: readonly string[];
  } | null;
  /** Path of the report page. */
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

/** Figures of one policy against the exact optimum. */
export interface ExactFigures extends SnakeRow<Omit<ExactRow, "policy" | "lambda">> {}

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

/** Gain in a score over the reference, in the score's own units. */
export interface ComparedGain {
  /** Name of the score. */
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

/** End of a comparison: every policy, measured alike. */
export interface ComparisonEvent {
  event: "done";
  kind: "comparison";
  policies: ComparisonRow[];
  exact?: ExactProblem[];
  /** Path of the report page. */
  report: string;
}

/** Receiver of events. */
export type Emit = (event: RunEvent) => void;

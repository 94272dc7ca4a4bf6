/** What passes between the studio's server and its page, as JSON. */
import type { EvaluationRow, LookRow, ShareRow, StrengthRow, WinRateRow } from "../ports/rows.js";
import type { NamedMargin } from "../stages/question.js";
import type { Text } from "../text/rows.js";

/** Run of the folder that is served, before it is opened. */
export interface ListedRun {
  /** Name in addresses: the folder's path below the one served. */
  readonly id: string;
  readonly name: string;
  /** ISO 8601, of the last change of its rows. */
  readonly changed: string;
  readonly live: LiveState | null;
}

/** State of a run that a process works on. */
export interface LiveState {
  readonly pid: number;
  readonly stage?: string;
  readonly task?: string;
  readonly done?: number;
  readonly total?: number;
  readonly unit?: string;
  /** Whether this studio started the process, and so may stop it. */
  readonly own: boolean;
}

/** Gain of a score: what was predicted and what was measured. */
export interface GainFigures
  extends Pick<EvaluationRow, "scorer" | "role" | "predicted" | "measured" | "low" | "high"> {
  readonly reference: number;
  readonly aligned: number;
  readonly margin: number | null;
  readonly verdict: EvaluationRow["verdict"];
}

/** Attempt of a run: its question, and its answer as far as it came. */
export interface AttemptFigures {
  readonly attempt: number;
  readonly label: string;
  /** ISO 8601. */
  readonly started: string;
  readonly beta: number;
  readonly margins: readonly NamedMargin[];
  /** Confidence of the margins; null where none is asked. */
  readonly confidence: number | null;
  readonly stages: readonly { readonly stage: string; readonly done: boolean; readonly seconds?: number }[];
  /** λ that was solved for; null before. */
  readonly lambda: readonly number[] | null;
  /** Margins that the solve aimed at, and the reward that this costs. */
  readonly aim: { readonly aimed: readonly number[]; readonly price: number } | null;
  readonly predicted: {
    readonly reward: number;
    readonly safety: readonly number[];
    readonly kl: number;
  } | null;
  readonly gains: readonly GainFigures[];
  readonly strength: { readonly chosen: number; readonly outcome: string; readonly reason: string | null } | null;
  readonly strengths: readonly StrengthRow[];
  readonly looks: readonly LookRow[];
  readonly shares: readonly ShareRow[];
  readonly winRates: readonly WinRateRow[];
  /** Optimizer steps that its training took; null before its end. */
  readonly trainedSteps: number | null;
}

/** Run with all its attempts. */
export interface RunFigures {
  readonly id: string;
  readonly name: string;
  /** Absolute path of its folder. */
  readonly path: string;
  readonly method: "mocan" | "pecan" | "compare";
  readonly model: string;
  readonly started: string;
  readonly reward: string;
  /** Names of the scorers, the reward first; then safety, then those in no solve. */
  readonly scorers: readonly { readonly name: string; readonly role: "reward" | "safety" | "held-out" }[];
  readonly judges: readonly string[];
  readonly counts: {
    readonly train: number;
    readonly calibration: number;
    readonly heldOut: number;
    /** Responses to a training prompt, and to a held-out one. */
    readonly responses: number;
    readonly heldOutResponses: number;
  };
  readonly seed: number;
  /** Confidence of reported intervals, and the power of a verdict that an aim is made for. */
  readonly intervals: number;
  readonly power: number;
  /** Which of the constraints are on shares of responses. */
  readonly shares: readonly boolean[];
  /** Whether the reference is sampled and scored, so that a margin can be moved. */
  readonly scored: boolean;
  /** Temperature at which its policies answer. */
  readonly temperature: number;
  readonly attempts: readonly AttemptFigures[];
  readonly live: LiveState | null;
  readonly job: JobState | null;
}

/** Process that this studio started for a run. */
export interface JobState {
  readonly command: string;
  readonly running: boolean;
  readonly started: string;
  /** Exit status; null while it runs, and where a signal ended it. */
  readonly status: number | null;
  readonly stopped: boolean;
  /** Last lines of its standard error. */
  readonly lines: readonly string[];
}

/** Header of the scores' answer; arrays follow it in the order: reward, each safety score (float64), prompt (int32). */
export interface ScoresHeader {
  readonly reward: string;
  readonly safety: readonly string[];
  readonly responses: number;
}

/** Prompt with the reference's responses to it, in the order of their scores. */
export interface PromptTexts {
  readonly prompt: number;
  readonly text: Text;
  readonly responses: readonly string[];
}

/** Most prompts that a search finds. */
export const mostFound = 2000;

/** Section of a run's report, drawn, with its data. */
export interface DrawnSection {
  readonly id: string;
  readonly title: string;
  readonly markup: string;
  readonly data: unknown;
}

/** Page of judges' verdicts. */
export interface VerdictPage {
  readonly total: number;
  readonly rows: readonly {
    readonly judge: string;
    readonly prompt: number;
    readonly text: Text;
    readonly sample: number;
    readonly policyFirst: boolean;
    readonly preference: string;
    readonly answer: string | null;
    readonly reference: string;
    readonly aligned: string;
  }[];
}

/** Optimizer steps of an attempt's training, thinned where there are many. */
export interface StepFigures {
  readonly total: number;
  readonly steps: readonly { readonly step: number; readonly loss: number; readonly learning_rate: number }[];
  readonly multipliers: readonly { readonly iteration: number; readonly lambda: readonly number[] }[];
}

/** Question to train: margins by name, β, and the confidence; null for none. */
export interface TrainRequest {
  readonly attempt: number;
  readonly beta: number;
  readonly margins: Readonly<Record<string, number>>;
  readonly confidence: number | null;
}

/** Prompt to be answered by both policies. */
export interface ChatRequest {
  readonly attempt: number;
  readonly prompt: string;
  readonly strength: number;
  readonly seed: number;
}

/** Answer of a policy with its scores by the run's scorers; null where a scorer gave none. */
export interface ChatAnswer {
  readonly policy: "reference" | "aligned";
  readonly response: string;
  readonly finished: boolean;
  readonly tokens: number;
  readonly seconds: number;
  readonly scores: Readonly<Record<string, number | null>>;
}

/** Answers to a prompt, and what went wrong beside them. */
export interface ChatResponse {
  readonly answers: readonly ChatAnswer[];
  readonly notices: readonly string[];
}

/** Error as the server answers it: one sentence. */
export interface ApiError {
  readonly error: string;
}

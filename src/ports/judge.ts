/** Judges compare two responses to one prompt. Which comes first can sway a judge, so each pair is asked in both orders. */
import type { Preference } from "../evaluate/winRate.js";
import type { Text } from "../text/rows.js";

/** Question that a judge answers: what a response wins by. */
export type Question = "helpfulness" | "safety";

/** Two responses in the order in which the judge sees them. */
export interface Comparison {
  prompt: Text;
  first: string;
  second: string;
}

/** Judgement on a pair of responses. */
export interface Judgement {
  preference: Preference;
  /** What the judge said, in its own words, where it said something. */
  answer: string | null;
}

/** A judgement of the comparison at `index` of those asked for; they come in the order in which they are done. */
export interface IndexedJudgement extends Judgement {
  index: number;
}

/** Answers comparisons. What has been yielded stays judged even if a later one fails. */
export interface Judge {
  judge(comparisons: readonly Comparison[]): AsyncIterable<IndexedJudgement>;
  close(): Promise<void>;
}

/** Labels of a classification head: their names in config.json, which one is asked for, and what becomes of its logit. */
import { InputError } from "../errors.js";
import type { ConfigReader } from "./configReader.js";

/** Kinds of problems that transformers trains a classification head on. */
const PROBLEMS = ["regression", "single_label_classification", "multi_label_classification"] as const;

/** Labels of a head, and what kind of problem it was trained on. */
export interface Labels {
  /** Names by index. */
  readonly names: readonly string[];
  /** Config.json's "problem_type"; undefined where it has none. */
  readonly problem?: (typeof PROBLEMS)[number];
}

/** Labels of a head that has one output without a name, as Safe-RLHF's. */
export const NAMELESS: Labels = { names: ["score"] };

/** Function that a label's score comes from: its logit as it is, σ of it, or its share in the softmax over all labels. */
export type LabelActivation = "none" | "sigmoid" | "softmax";

/** Reading of a head: the label whose value is the score, and what becomes of its logit. */
export interface LabelReading {
  readonly index: number;
  readonly activation: LabelActivation;
}

/** Labels as config.json has them; transformers takes two where it says nothing. Throws InputError on ids with gaps. */
export function readLabels(c: ConfigReader): Labels {
  const byId = c.object("id2label");
  const ids = Object.keys(byId);
  const declared = c.get("num_labels") ?? c.get("_num_labels");
  const count = ids.length > 0 ? ids.length : Number(declared ?? 2);
  if (!Number.isInteger(count) || count < 1) c.refuse("num_labels", declared);
  const names = Array.from({ length: count }, (_, i) => (ids.length > 0 ? byId[i] : `LABEL_${i}`));
  for (const [i, name] of names.entries())
    if (typeof name !== "string") return c.fail(`"id2label" has ${count} labels, but none with the id ${i}`);
  const problem = c.get("problem_type");
  if (problem !== undefined && !(PROBLEMS as readonly unknown[]).includes(problem)) c.refuse("problem_type", problem);
  return { names: names as string[], ...(problem !== undefined && { problem: problem as Labels["problem"] }) };
}

/** Words that list labels, the first few of many. */
function listed(names: readonly string[]): string {
  const some = names.slice(0, 12).map((name) => JSON.stringify(name));
  return names.length > some.length ? `${some.join(", ")} and ${names.length - some.length} more` : some.join(", ");
}

/**
 * Index of the label that is asked for by name, in whatever case, or by its index; the only one where none is asked for.
 * @throws InputError, beginning with `where`, where there are several and none is asked for, or none is called so.
 */
export function labelIndex({ names }: Labels, asked: string | undefined, where: string): number {
  if (asked === undefined) {
    if (names.length === 1) return 0;
    throw new InputError(`${where} has ${names.length} labels: give the one that is the score: ${listed(names)}`);
  }
  const exact = names.indexOf(asked);
  if (exact >= 0) return exact;
  const alike = names.flatMap((name, i) => (name.toLowerCase() === asked.toLowerCase() ? [i] : []));
  if (alike.length === 1) return alike[0]!;
  if (/^\d+$/.test(asked) && Number(asked) < names.length) return Number(asked);
  throw new InputError(`${where} has no label ${JSON.stringify(asked)}: it has ${listed(names)}`);
}

/**
 * Activation of a head where none is asked for: what it was trained with by "problem_type", else a single label's own value,
 * as a reward or a regression is, and the softmax over several, as in transformers' pipeline.
 */
function activationOf(labels: Labels, asked: LabelActivation | undefined, where: string): LabelActivation {
  if (asked === "softmax" && labels.names.length === 1)
    throw new InputError(`${where} has one label: a softmax over it is 1 whatever it reads; take none or sigmoid`);
  if (asked !== undefined) return asked;
  if (labels.problem === "regression") return "none";
  if (labels.problem === "multi_label_classification") return "sigmoid";
  return labels.names.length === 1 ? "none" : "softmax";
}

/**
 * Reading of a head by what is asked for.
 * @throws InputError, beginning with `where`, for a label that it does not have or that has to be named, or an activation
 * that says nothing.
 */
export const readingOf = (
  labels: Labels,
  asked: { readonly label?: string; readonly activation?: LabelActivation },
  where: string,
): LabelReading => ({
  index: labelIndex(labels, asked.label, where),
  activation: activationOf(labels, asked.activation, where),
});

/** Value of one label from the logits of all. */
export function labelValue(logits: ArrayLike<number>, { index, activation }: LabelReading): number {
  const logit = logits[index]!;
  if (activation === "none") return logit;
  if (activation === "sigmoid") return 1 / (1 + Math.exp(-logit));
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - logit);
  return 1 / sum;
}

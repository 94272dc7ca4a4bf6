/** Answers of servers, whose shape is looked at before anything is believed. */
import { InputError } from "../../../errors.js";

/** JSON object of an answer. */
export type Fields = Readonly<Record<string, unknown>>;

/** Object, or an empty one where the value is none. */
export const fields = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};

/** List, or an empty one where the value is none. */
export const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** List of token ids; undefined where the value is none. */
export function idsOf(value: unknown): number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.every((id) => Number.isSafeInteger(id) && id >= 0) ? (value as number[]) : undefined;
}

/** List of log-probabilities; undefined where the value is none, or a token of it has none. */
export function logprobsOf(value: readonly unknown[]): number[] | undefined {
  return value.every((one) => typeof one === "number" && one <= 1e-3) ? (value as number[]) : undefined;
}

/** Error of an answer that has not the shape which a run needs. `lacks` follows "the server gives". */
export const misshapen = (where: string, lacks: string): InputError =>
  new InputError(`${where} gives ${lacks}: what is needed is token ids in and out with their log-probabilities`);

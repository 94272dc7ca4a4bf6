/** Prompts as a person would read them. */
import { contentText } from "../../text/messages.js";
import type { Row, Text } from "../../text/rows.js";
import type { Study } from "./study.js";

/** Prompt as a person would read it, with the columns of its row that are short. */
export interface ReadablePrompt {
  readonly prompt: string;
  readonly columns: readonly (readonly [name: string, value: string])[];
}

/** Held-out prompts by their numbers. */
export const readablePrompts = async ({ run }: Study): Promise<ReadonlyMap<number, ReadablePrompt>> =>
  new Map(
    (await run.prompts("held-out")).map(({ prompt, text, row }) => [
      prompt,
      { prompt: readable(text), columns: columnsOf(row ?? {}) },
    ]),
  );

/** A user's only turn by itself; more turns each under its role. */
function readable(text: Text): string {
  if (typeof text === "string") return text;
  if (text.length === 1 && text[0].role === "user") return contentText(text[0]);
  return text.map((message) => `${message.role}: ${contentText(message)}`).join("\n\n");
}

/** Longest value that is shown, and most columns. */
const shown = { characters: 60, columns: 4 };

/** Columns that tell a reader what kind of prompt it is: texts, numbers and truth values that are short. */
const columnsOf = (row: Row): [string, string][] =>
  Object.entries(row)
    .flatMap(([name, value]): [string, string][] =>
      ["string", "number", "boolean"].includes(typeof value) && `${value}`.length <= shown.characters && value !== ""
        ? [[name, `${value}`]]
        : [],
    )
    .slice(0, shown.columns);

/** Prompts as a person would read them. */
import { contentText } from "../../text/messages.js";
import type { Text } from "../../text/rows.js";
import type { Study } from "./study.js";

/** Texts of the held-out prompts by their numbers. */
export const promptTexts = async ({ run }: Study): Promise<ReadonlyMap<number, string>> =>
  new Map((await run.prompts("held-out")).map(({ prompt, text }) => [prompt, readable(text)]));

/** A user's only turn by itself; more turns each under its role. */
function readable(text: Text): string {
  if (typeof text === "string") return text;
  if (text.length === 1 && text[0].role === "user") return contentText(text[0]);
  return text.map((message) => `${message.role}: ${contentText(message)}`).join("\n\n");
}

/** Conversations as plain text, for what reads no chat: templates with places, classifiers and judges. */
import { contentText, type Message, type Text } from "./messages.js";

/**
 * Prompt as plain text: itself, the content of its only message, or "role: content" for each of several.
 * @param between what stands between two of those.
 */
export function promptText(prompt: Text, between = "\n"): string {
  if (typeof prompt === "string") return prompt;
  const [only] = prompt;
  if (prompt.length === 1) return contentText(only as Message);
  return prompt.map((turn) => `${turn.role}: ${contentText(turn)}`).join(between);
}

/** Template whose places {prompt} and {response} are filled, in one pass: what a prompt says in braces is no place. */
export const fillPlaces = (template: string, { prompt, response }: { prompt: Text; response: string }): string =>
  template.replace(/\{(prompt|response)\}/g, (_, place) => (place === "prompt" ? promptText(prompt) : response));

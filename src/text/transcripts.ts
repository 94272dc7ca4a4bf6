/** Conversations that are written out in one text, as Anthropic's HH-RLHF has them: "\n\nHuman: …\n\nAssistant: …". */
import type { Message } from "./messages.js";

const turn = /\n\n(Human|Assistant):/;

/** Test whether a text is such a transcript. */
export const isTranscript = (text: string): boolean => text.startsWith("\n\nHuman:");

/** Turns of a transcript as chat messages, without the spaces around them. */
export function transcriptMessages(text: string): Message[] {
  const parts = text.split(turn);
  const messages: Message[] = [];
  for (let i = 1; i < parts.length; i += 2)
    messages.push({ role: parts[i] === "Human" ? "user" : "assistant", content: parts[i + 1]!.trim() });
  return messages;
}

/**
 * Preference between two transcripts: the conversation that they have in common, and the last answer of each. Undefined
 * where they part before their last turn, or that is not the assistant's.
 */
export function transcriptPair(
  chosen: string,
  rejected: string,
): { prompt: Message[]; chosen: string; rejected: string } | undefined {
  const [left, right] = [transcriptMessages(chosen), transcriptMessages(rejected)];
  const prompt = left.slice(0, -1);
  const [last, other] = [left.at(-1), right.at(-1)];
  if (prompt.length === 0 || last?.role !== "assistant" || other?.role !== "assistant") return undefined;
  if (JSON.stringify(prompt) !== JSON.stringify(right.slice(0, -1))) return undefined;
  return { prompt, chosen: last.content as string, rejected: other.content as string };
}

/** Chat messages as rows hold them, and what the rows say about rendering them. */
import { InputError } from "../errors.js";

/** A part of a message's content, such as `{type: "text", text}`. Whatever else it holds reaches the chat template too. */
export interface ContentPart {
  type: string;
  [extra: string]: unknown;
}

/** One turn of a conversation. Whatever else the row holds (a name, tool calls) reaches the chat template too. */
export interface Message {
  role: string;
  /** Null or missing where a turn only calls tools: transformers drops such a key before the template sees it. */
  content?: string | ContentPart[] | null;
  [extra: string]: unknown;
}

/** A string that is used as it is, or messages that go through the chat template. */
export type Text = string | Message[];

/** Variables that a row adds to its chat template, as TRL reads them. */
export interface TemplateVariables {
  /** The column `tools`: JSON schemas, or a string that holds them as JSON. */
  readonly tools?: readonly object[] | null;
  /** The column `chat_template_kwargs`: variables of the template by name. */
  readonly kwargs?: Readonly<Record<string, unknown>>;
}

/** The text of a message's content: a string as it is, text parts one after the other, nothing where there is none. */
export function contentText({ content }: Message): string {
  if (typeof content === "string") return content;
  return (content ?? []).map(({ text }) => (typeof text === "string" ? text : "")).join("");
}

/** Text in one of its two forms, checked. Throws InputError that names the field, the message and its key. */
export function readText(value: unknown, name: string, where: string): Text {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.length > 0) {
    for (const [i, message] of value.entries()) checkMessage(message, `${where}: message ${i + 1} of "${name}"`);
    return value;
  }
  const found = value === undefined || value === null ? "is missing" : "is neither";
  throw new InputError(`${where}: "${name}" ${found}: it must be a string or a list of messages`);
}

function checkMessage(message: unknown, place: string): void {
  if (typeof message !== "object" || message === null || Array.isArray(message))
    throw new InputError(`${place} must be an object with "role" and "content"`);
  const { role, content } = message as Record<string, unknown>;
  if (typeof role !== "string") throw new InputError(`${place} needs "role", a string`);
  if (content === undefined || content === null) {
    if (Object.keys(message).some((key) => key !== "role" && key !== "content")) return;
    throw new InputError(`${place} needs "content", a string or a list of parts`);
  }
  if (typeof content === "string") return;
  if (!Array.isArray(content)) throw new InputError(`${place}: "content" must be a string or a list of parts`);
  for (const [i, part] of content.entries())
    if (typeof part !== "object" || part === null || typeof (part as ContentPart).type !== "string")
      throw new InputError(`${place}: part ${i + 1} of "content" needs "type", a string`);
}

/** A remark on the contents that are no strings, which could have made a chat template refuse them; empty where none is. */
export function unusualContents(messages: readonly Message[], name: string): string {
  const odd = messages.flatMap(({ content }, i) => {
    if (typeof content === "string") return [];
    const kind = Array.isArray(content) ? "is a list of parts" : content === null ? "is null" : "is missing";
    return [`"content" of message ${i + 1} of "${name}" ${kind}`];
  });
  return odd.length === 0 ? "" : ` (${odd.slice(0, 3).join("; ")}${odd.length > 3 ? "; …" : ""})`;
}

/**
 * The columns `tools` and `chat_template_kwargs` of a row. Null counts as not given, as where a column is filled up.
 * Throws InputError where either has another form.
 */
export function templateVariables(row: Readonly<Record<string, unknown>>, where: string): TemplateVariables {
  return { tools: readTools(row.tools, where), kwargs: readKwargs(row.chat_template_kwargs, where) };
}

function readTools(given: unknown, where: string): object[] | null {
  let tools = given;
  if (typeof given === "string") {
    try {
      tools = JSON.parse(given);
    } catch (error) {
      throw new InputError(`${where}: "tools" is a string that is not JSON: ${(error as Error).message}`);
    }
  }
  if (tools === undefined || tools === null) return null;
  if (Array.isArray(tools) && tools.every((tool) => typeof tool === "object" && tool !== null)) return tools;
  throw new InputError(`${where}: "tools" must be a list of JSON schemas, or a string that holds one`);
}

/** Options of transformers' `apply_chat_template` that are none of the template's variables. */
const OPTIONS = new Set(
  (
    "conversation add_generation_prompt continue_final_message tokenize sanitize_control_tokens padding truncation " +
    "max_length return_tensors return_dict return_assistant_tokens_mask tokenizer_kwargs messages"
  ).split(" "),
);

function readKwargs(given: unknown, where: string): Record<string, unknown> {
  if (given === undefined || given === null) return {};
  if (typeof given !== "object" || Array.isArray(given))
    throw new InputError(`${where}: "chat_template_kwargs" must be an object`);
  const refused = Object.keys(given).find((key) => OPTIONS.has(key));
  if (refused !== undefined)
    throw new InputError(`${where}: "chat_template_kwargs" cannot set "${refused}": it is no variable of the template`);
  return given as Record<string, unknown>;
}

/** The messages as transformers hands them to a template: keys of null dropped, reasoning under all of its names. */
export function forTemplate(message: Message): Record<string, unknown> {
  const kept = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null && value !== undefined));
  const reasoning = kept.reasoning_content ?? kept.thinking ?? kept.reasoning;
  return reasoning === undefined ? kept : { thinking: reasoning, ...kept, reasoning_content: reasoning };
}

/** Command-line flags from the schemas that recipes use: `learning_rate` is read as `--learning-rate`. */
import { type Command, Option } from "commander";
import { z } from "zod";
import { InputError } from "../errors.js";
import { describe } from "../recipe/parse.js";

/** Key of an option as commander gives it: `max_length` as `maxLength`. */
export const camel = (key: string) => key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
/** Flag of a key. */
export const flag = (key: string) => `--${key.replaceAll("_", "-")}`;

/** Adds a flag for every key. A boolean key gets `--key` and `--no-key`; a list is separated by commas. */
export function addFlags(command: Command, schema: z.ZodObject): Command {
  for (const [key, field] of Object.entries(schema.shape) as [string, z.ZodType][]) {
    const fallback = field.safeParse(undefined);
    const shown = fallback.success && fallback.data !== undefined ? ` (default: ${fallback.data})` : "";
    const kind = plain(field);
    const text = `${field.description ?? ""}${shown}`.trim();
    if (kind instanceof z.ZodBoolean) {
      command.addOption(new Option(flag(key), text));
      command.addOption(new Option(`--no-${key.replaceAll("_", "-")}`).hideHelp());
    } else {
      const option = new Option(`${flag(key)} <${kind instanceof z.ZodArray ? "list" : "value"}>`, text);
      command.addOption(kind instanceof z.ZodEnum ? option.choices(kind.options.map(String)) : option);
    }
  }
  return command;
}

/**
 * Reads what the flags of {@link addFlags} were given.
 * @throws InputError that names the flag.
 */
export function readFlags<S extends z.ZodObject>(schema: S, given: Readonly<Record<string, unknown>>): z.infer<S> {
  const values: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(schema.shape) as [string, z.ZodType][]) {
    const value = given[camel(key)];
    if (value !== undefined) values[key] = typeof value === "string" ? fromText(value, plain(field)) : value;
  }
  const result = schema.safeParse(values);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const key = String(issue.path[0]);
  if (values[key] === undefined) throw new InputError(`${flag(key)} is missing`);
  throw new InputError(`${flag(key)} ${describe(issue, values[key])}`);
}

function fromText(text: string, field: z.ZodType): unknown {
  if (field instanceof z.ZodNumber) return text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text);
  if (field instanceof z.ZodArray)
    return text
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== "");
  return text;
}

function plain(field: z.ZodType): z.ZodType {
  return field instanceof z.ZodOptional || field instanceof z.ZodDefault ? plain(field.unwrap() as z.ZodType) : field;
}

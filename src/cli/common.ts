/** What the commands have in common. */
import { existsSync } from "node:fs";
import { type Command, Option } from "commander";
import { z } from "zod";
import { InputError } from "../errors.js";
import { isHubId } from "../files/hub.js";
import { STANDARD_INPUT } from "../files/rows/lines.js";
import type { RowSource } from "../files/rows/source.js";
import { STANDARD_OUTPUT } from "../files/rows/write.js";
import { type Device, devices } from "./jobOptions.js";
import { type CommandEvent, makeReporter } from "./progress.js";

/** Schema of the seed that commands take. */
export const seedSchema = z.strictObject({
  seed: z.number().int().nonnegative().max(0xffffffff).default(0).describe("of every random choice"),
});

/** Flags of a command that works with one model. */
export function addModelFlags(command: Command): Command {
  return command
    .requiredOption("--model <dir>", "model folder, or hub id")
    .option("--adapter <dir>", "PEFT adapter on it");
}

/** `--chat`: plain prompts and answers go through the chat template. */
export const chatOption = ["--chat", "put the model's chat template around plain texts"] as const;

/** Flags of a command that computes: on which device, and in which form its events are written. */
export function addRunFlags(command: Command): Command {
  return command
    .addOption(new Option("--device <name>", "what computes").choices(devices).default("cpu" satisfies Device))
    .option("--json", "write events to standard output as JSON lines")
    .option("--quiet", "results and errors only: no progress, no notes");
}

/** @throws InputError if the file that a flag names is not there. */
export function existing(flag: string, path: string): string {
  if (!existsSync(path)) throw new InputError(`${flag} names ${path}, which does not exist`);
  return path;
}

/** Flags of a command that reads rows: which part of a hub dataset. */
export function addSourceFlags(command: Command): Command {
  return command
    .option("--subset <name>", "of a hub dataset that has several")
    .option("--split <name>", "of a hub dataset (default: train)");
}

/**
 * Source of rows that a flag names: a file, `-` for standard input, or else a dataset on the hub.
 * @throws InputError if it is none of them.
 */
export function sourceOf(
  flag: string,
  value: string,
  { subset, split }: { subset?: string; split?: string },
): RowSource {
  if (value === STANDARD_INPUT || existsSync(value)) {
    const stray = subset !== undefined ? "subset" : split !== undefined ? "split" : undefined;
    if (stray !== undefined) throw new InputError(`--${stray} is for datasets on the hub, and ${value} is a file`);
    return { file: value };
  }
  if (isHubId(value) && !/\.(jsonl?|ndjson|csv|tsv|parquet|pq)(\.gz)?$/i.test(value))
    return { dataset: value, subset, split };
  throw new InputError(`${flag} names ${value}, which does not exist`);
}

/** Report of a job's events as they come. `output`: where its rows go. */
export async function report(
  events: AsyncIterable<CommandEvent>,
  { json = false, quiet = false, output }: { json?: boolean; quiet?: boolean; output?: string },
): Promise<void> {
  if (json && output === STANDARD_OUTPUT)
    throw new InputError("--json and rows cannot both go to standard output: give --output a file");
  // Rows on standard output are its only contents.
  const reporter = makeReporter({ json, quiet, ...(output === STANDARD_OUTPUT && { stdout: process.stderr }) });
  try {
    for await (const event of events) reporter.emit(event);
  } finally {
    reporter.close();
  }
}

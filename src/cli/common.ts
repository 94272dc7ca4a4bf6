/** What the commands have in common. */
import { existsSync } from "node:fs";
import { type Command, Option } from "commander";
import { z } from "zod";
import { InputError } from "../errors.js";
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
    .option("--json", "write events to standard output as JSON lines");
}

/** @throws InputError if the file that a flag names is not there. */
export function existing(flag: string, path: string): string {
  if (!existsSync(path)) throw new InputError(`${flag} names ${path}, which does not exist`);
  return path;
}

/** Tells a job's events as they come. */
export async function report(events: AsyncIterable<CommandEvent>, json: boolean | undefined): Promise<void> {
  const reporter = makeReporter({ json: json ?? false });
  try {
    for await (const event of events) reporter.emit(event);
  } finally {
    reporter.close();
  }
}

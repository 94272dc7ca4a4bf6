/** Flags of a server that does a command's work in place of this machine. */
import type { Command } from "commander";
import { z } from "zod";
import { InputError } from "../errors.js";
import { connectionFields, type PolicyEndpoint } from "../recipe/kinds/endpoints.js";
import { addFlags, readFlags } from "./flags.js";

/** Flags of every command that may work on a server. */
export const connectionFlags = z.strictObject(connectionFields);

/** Flags `--endpoint`, `--tokenizer` and those of the connection. */
export function addEndpointFlags(command: Command): Command {
  return addFlags(
    command
      .option("--endpoint <url>", "server that does the work, such as http://HOST:8000/v1; --model is its name there")
      .option("--tokenizer <dir>", "with --endpoint: folder or hub id of the served model's tokenizer"),
    connectionFlags,
  );
}

/** Values of the flags of {@link addEndpointFlags}. */
export interface GivenEndpoint {
  endpoint?: string;
  tokenizer?: string;
  model?: string;
}

/**
 * Refuses flags that nothing would read: those of a server without one, those of this machine with one.
 * @param more further flags that go with `--endpoint` alone.
 */
export function checkEndpointFlags(command: Command, { endpoint }: GivenEndpoint, more: readonly string[] = []): void {
  const given = (name: string) => command.getOptionValueSource(name) === "cli";
  if (endpoint !== undefined) {
    if (given("device")) throw new InputError("--device is of this machine: leave it out beside --endpoint");
    return;
  }
  const stray = ["tokenizer", ...Object.keys(connectionFields), ...more].find(given);
  if (stray !== undefined) throw new InputError(`--${stray} goes with --endpoint`);
}

/** Server of the flags; undefined where the work is this machine's. */
export function policyEndpoint(command: Command, given: GivenEndpoint): PolicyEndpoint | undefined {
  checkEndpointFlags(command, given);
  const { endpoint, model, tokenizer } = given;
  if (endpoint === undefined) return undefined;
  if (tokenizer === undefined)
    throw new InputError("--endpoint needs --tokenizer DIR: the folder or hub id of the served model's tokenizer");
  return { endpoint, model, serves: model, tokenizer, ...readFlags(connectionFlags, given as Record<string, unknown>) };
}

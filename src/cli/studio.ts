/** `dualign studio`: a local page on a run, or on a folder of runs. */

import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { type Command, Option } from "commander";
import { InputError } from "../errors.js";
import { openBrowser } from "./browser.js";
import { type Device, devices } from "./jobOptions.js";

interface Given {
  port: string;
  device: Device;
  open?: boolean;
}

/** Command `dualign studio`. */
export function addStudioCommand(program: Command): void {
  program
    .command("studio")
    .description("serve a local page on a run or a folder of runs: move margins, train, compare, chat")
    .argument("[folder]", "run folder, or a folder that holds some; by default 'runs' where it is there, else this one")
    .option("--port <number>", "of the loopback; 0 for any that is free", "8423")
    .addOption(new Option("--device <name>", "what trainings and chats compute on").choices(devices).default("cpu"))
    .option("--open", "open the page in the browser")
    .action(studio);
}

async function studio(folder: string | undefined, { port, device, open }: Given): Promise<void> {
  const number = Number(port);
  if (!Number.isInteger(number) || number < 0 || number > 65_535)
    throw new InputError(`--port is ${port}: give a number from 0 to 65535`);
  const { startStudio } = await import("../studio/server.js");
  const found = folder ?? (existsSync("runs") ? "runs" : ".");
  const server = await startStudio({ folder: found, port: number, device });
  const link = server.link();
  process.stdout.write(`${link}\n`);
  const say = (text: string) => process.stderr.write(`${text}\n`);
  if (process.env.SSH_CONNECTION !== undefined) {
    const host = process.env.SSH_CONNECTION.split(" ")[2] ?? "HOST";
    say(`from your own machine: ssh -N -L ${server.port}:127.0.0.1:${server.port} ${host}`);
  }
  if (open) await openBrowser(link);
  const lines = process.stdin.isTTY ? createInterface({ input: process.stdin }) : undefined;
  say(
    `the link opens once${lines ? "; Enter prints a new one" : ""}; Ctrl-C ends the studio, and the trainings it started`,
  );
  lines?.on("line", () => process.stdout.write(`${server.link()}\n`));
  await new Promise<void>((end) => {
    process.once("SIGINT", end);
    process.once("SIGTERM", end);
  });
  lines?.close();
  await server.close();
}

import { Command, CommanderError } from "commander";
import { InputError } from "../errors.js";
import { addChatCommand } from "./chat.js";
import { addCheckCommand } from "./check.js";
import { addCompareCommand } from "./compare.js";
import { addCompletionCommand } from "./completion.js";
import { addDoctorCommand } from "./doctor.js";
import { addDualCommand } from "./dualCommand.js";
import { addExamples } from "./examples.js";
import { exitStatuses } from "./exitStatus.js";
import { addExportCommand } from "./export.js";
import { addGenerateCommand } from "./generate.js";
import { addInitCommand } from "./init.js";
import { addLogprobsCommand } from "./logprobs.js";
import { addMergeCommand } from "./merge.js";
import { addMocanCommand } from "./mocan.js";
import { nativeBinaryError } from "./nativeBinary.js";
import { addPecanCommand } from "./pecan.js";
import { addPredictCommand } from "./predict.js";
import { addPushCommand } from "./push.js";
import { addQuickstartCommand } from "./quickstart.js";
import { addScoreCommand } from "./score.js";
import { addResumeCommand, addStageCommands } from "./stages.js";
import { addStatusCommand } from "./status.js";
import { addStudioCommand } from "./studio.js";
import { addTrainCommand } from "./train.js";
import { version } from "./versions.js";

/** Command line with all its commands. */
export function makeProgram(): Command {
  const program = new Command("dualign")
    .description("one-shot safety alignment of language models: solve the dual first, train once")
    .version(version)
    .enablePositionalOptions()
    .showSuggestionAfterError()
    .configureOutput({ outputError: (text, write) => write(`dualign: ${oneLine(text.replace(/^error: /, ""))}\n`) })
    .exitOverride();
  addQuickstartCommand(program);
  addInitCommand(program);
  addCheckCommand(program);
  addDoctorCommand(program);
  addMocanCommand(program);
  addPecanCommand(program);
  addCompareCommand(program);
  addResumeCommand(program);
  addStatusCommand(program);
  addPredictCommand(program);
  addStudioCommand(program);
  addStageCommands(program);
  addChatCommand(program);
  addMergeCommand(program);
  addPushCommand(program);
  addExportCommand(program);
  addDualCommand(program);
  addTrainCommand(program);
  addGenerateCommand(program);
  addLogprobsCommand(program);
  addScoreCommand(program);
  addCompletionCommand(program);
  addExamples(program);
  return program;
}

/** A flag in either spelling: `--learning_rate` is `--learning-rate`. */
const withDashes = (word: string) =>
  word.replace(/^--[a-z0-9]+(?:_[a-z0-9]+)+(?==|$)/, (flag) => flag.replaceAll("_", "-"));

/** Runs the command line, `argv` as in `process.argv`; its exit codes are those of {@link exitStatuses}. */
export async function main(argv: readonly string[]): Promise<void> {
  // Who reads the output may have seen enough.
  if (process.stdout.listenerCount("error") === 0)
    process.stdout.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(exitStatuses.closedPipe.status);
      throw error;
    });
  try {
    await makeProgram().parseAsync(argv.map(withDashes));
  } catch (error) {
    process.exitCode = await tell(error);
  }
}

/** Prints an error as one line and gives the exit code. */
async function tell(thrown: unknown): Promise<number> {
  // Commander has printed its own; help and version are no errors.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : exitStatuses.mistake.status;
  const error = thrown instanceof InputError ? thrown : (nativeBinaryError(thrown) ?? (await asStorageError(thrown)));
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`dualign: ${oneLine(message)}\n`);
  if (error instanceof InputError) return error.exitCode;
  if (process.env.DUALIGN_DEBUG === "1" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  else process.stderr.write("dualign: this is a fault of dualign; DUALIGN_DEBUG=1 shows where it happened\n");
  return exitStatuses.unexpected.status;
}

async function asStorageError(thrown: unknown): Promise<unknown> {
  const { storageError } = await import("../store/runFolder.js");
  return storageError(thrown, process.cwd());
}

const oneLine = (text: string) => text.trim().replace(/\s*\n\s*/g, " ");

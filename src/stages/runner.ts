/** The runner: a method's stages in order, each once. */

import { InputError } from "../errors.js";
import type { StageName } from "../ports/store.js";
import type { Context, Method } from "./context.js";

/**
 * Runs the stages that the run has not done, in order; ends with the `done` event.
 * @param only just these stages; what they need must be done.
 * @throws InputError for input that a stage cannot use, InfeasibleError if the margins are out of reach.
 */
export async function runStages(
  context: Context,
  { stages, done }: Method,
  only?: readonly StageName[],
): Promise<void> {
  const { run, emit } = context;
  const unknown = only?.find((name) => !stages.some(([stage]) => stage === name));
  if (unknown)
    throw new InputError(
      `the run in ${run.path} has no stage '${unknown}': its stages are ${stages.map(([name]) => name).join(", ")}`,
    );
  for (const [i, [stage, action]] of stages.entries()) {
    if (only && !only.includes(stage)) continue;
    // A report asked for by name is written anew: it costs a second, and a newer version may tell more.
    if ((await run.isDone(stage)) && !(only && stage === "report")) {
      emit({ event: "stage", stage, state: "skipped" });
      continue;
    }
    const needed = stages[i - 1]?.[0];
    if (needed && !(await run.isDone(needed)))
      throw new InputError(`'${stage}' needs the stage '${needed}' first: dualign ${needed} ${run.path}`);
    const start = performance.now();
    emit({ event: "stage", stage, state: "started" });
    await action(context);
    const seconds = (performance.now() - start) / 1000;
    await run.markDone(stage, seconds);
    emit({ event: "stage", stage, state: "done", seconds });
  }
  if (await run.isDone("report")) emit(await done(context));
}

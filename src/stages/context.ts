/** What every stage works with: the run, the world, and the problem at hand. */

import type { Emit, RunEvent } from "../ports/events.js";
import type { SolveRow } from "../ports/rows.js";
import type { RunStore, StageName } from "../ports/store.js";
import type { World } from "../ports/world.js";
import type { Task } from "./collect.js";

export { aligned } from "../recipe/rowNames.js";

/** Context of a stage: the run, the machinery, and where events go. */
export interface Context {
  run: RunStore;
  world: World;
  emit: Emit;
}

/** A constrained alignment problem on a run's samples: which of its scores count as what, and how samples get them. */
export interface Problem {
  /** Names of scorers. */
  readonly reward: string;
  readonly safety: readonly { readonly kind: string; readonly name: string; readonly margin: number }[];
  /** Divides r_λ in labels and targets: 1, except in the authors' PeCAN. */
  readonly labelDivisor: number;
  /** Gives scores to the samples of a policy that have none; on the training prompts they are on the policy's bill. */
  score(context: Context, policy: string, task: Task): Promise<void>;
  /** What a solution means in the user's terms, a line for each constraint. */
  explain?(solve: SolveRow): string[];
}

/** A method's stages in order. Each needs the one before it. */
export type Stages = readonly (readonly [name: StageName, action: (context: Context) => Promise<void>])[];

/** Method: its stages in order, and its last event. */
export interface Method {
  readonly stages: Stages;
  /** The last event of a run whose stages are all done. */
  done(context: Context): Promise<RunEvent>;
}

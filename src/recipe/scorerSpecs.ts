/** Scorers as a recipe names them, with a margin and without. */
import type { z } from "zod";
import { scorerSchema } from "./kinds/scorers.js";
import { margin } from "./margins.js";

/** Schema of a scorer. */
export const scorer = scorerSchema({});
/** Schema of a scorer with its margin. */
export const constraint = scorerSchema({ margin });

/** Spec whose name is filled in. */
export type Named<T> = T & { name: string };

/** A score function of a run. Its score is `scale · sign` times what the model or module gives; higher is better. */
export type ScorerSpec = Named<z.infer<typeof scorer>>;

/** Scorer whose model is trained on preferences, as a stage of the run. */
export type TrainedScorerSpec = Extract<ScorerSpec, { kind: "preferences" }>;

/** Scorer that can be opened as it is. */
export type ReadyScorerSpec = Exclude<ScorerSpec, { kind: "preferences" }>;

/** Safety scorer of a recipe, with its margin. */
export type ScorerConstraint = Named<z.infer<typeof constraint>>;

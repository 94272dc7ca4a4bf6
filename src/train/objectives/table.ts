/** The objectives by name. To add one, write its record, and put it and its options into this table. */
import { type CostObjective, cost } from "./cost.js";
import { type DpoObjective, dpo } from "./dpo.js";
import type { ObjectiveRecord } from "./objective.js";
import { type RewardObjective, reward } from "./reward.js";
import { type SftObjective, sft } from "./sft.js";

/** An objective with its options. */
export type Objective = SftObjective | RewardObjective | CostObjective | DpoObjective;

/** The name of an objective. */
export type ObjectiveKind = Objective["kind"];

/** Objectives by name. */
export const objectives: {
  readonly [K in ObjectiveKind]: ObjectiveRecord<Extract<Objective, { readonly kind: K }>>;
} = { sft, reward, cost, dpo };

/** The record of an objective. */
export const recordOf = <O extends Objective>({ kind }: O): ObjectiveRecord<O> =>
  objectives[kind] as unknown as ObjectiveRecord<O>;

/** What a comparison compares: baselines, each one record, and the policies that they put up. */
import type { z } from "zod";
import type { Bill, ComparisonRow } from "../../ports/events.js";
import type { PolicyRef } from "../../ports/policy.js";
import type { CostRow, MultiplierRow, ProblemName } from "../../ports/rows.js";
import type { RunStore } from "../../ports/store.js";
import type { CompareRecipe, Fail } from "../../recipe/parse.js";
import type { Context, Problem } from "../../stages/context.js";

/** Kinship of baselines: those of one family share a colour in charts and a key in their legends. */
export type Family = "MoCAN" | "PeCAN" | "weighted sum" | "DPO" | "stepwise" | "iterative";

/** Problems of a comparison by whose scores state them; without preference data both are the scorers'. */
export type Problems = Readonly<Record<ProblemName, Problem>>;

export type { Fail };

/**
 * Baseline of a comparison: all that is known of one method, in one record. A method of the comparison is a file that
 * exports one, and a line in `baselines/index.ts`.
 */
export interface Baseline<Options = unknown> {
  /** Key under `compare:` in a recipe. Where its value is absent after parsing, or false, the baseline is left out. */
  readonly key: string;
  /** Name in rows, events and folders. */
  readonly method: string;
  /** Name in tables and charts. */
  readonly label: string;
  readonly family: Family;
  /** Schema of the recipe's `compare.KEY`. */
  readonly schema: z.ZodType<Options>;
  /** Check of the options beside the rest of the recipe; throws what `fail` makes. */
  check?(options: Options, recipe: Pick<CompareRecipe, "safety" | "preferences">, fail: Fail): void;
  /** Policies that the baseline puts up, in the order of the table. */
  contenders(options: Options, recipe: CompareRecipe): Contender[];
  /** Hyperparameters of its trainings for the report. Baselines that name one column share it. */
  hyperparameters(options: Options, recipe: CompareRecipe): HyperparameterColumn[];
  /** Rule by which its bill up to the margins is counted. */
  readonly reach: ReachRule;
}

/** Column of the table of hyperparameters: a value for each key, as the recipe writes them. */
export interface HyperparameterColumn {
  readonly column: string;
  readonly entries: readonly (readonly [key: string, value: unknown])[];
}

/** Stages to which a contender adds work of its own. */
export type ContenderStage = "dual" | "relabel" | "train";

/** Policy of a comparison, and where it comes from. */
export interface Contender {
  readonly method: string;
  readonly label: string;
  readonly family: Family;
  readonly reach: ReachRule;
  /** Name of its rows in the run. Contenders of one policy share them, and each stage of theirs is done once. */
  readonly policy: string;
  /** Problem that its λ belongs to; null where its training knows no λ. */
  readonly problem: ProblemName | null;
  /** Problem whose scores its evaluation has beside the scorers'. */
  readonly evaluatedIn: ProblemName;
  /** λ of its training: solved for the margins, moving as it trains, given, or none. */
  readonly lambda: "solved" | "moving" | readonly number[] | null;
  /** Whether tables name it by its λ. */
  readonly namedByLambda: boolean;
  /** Whether the dual's prediction for its λ counts as said beforehand. */
  readonly predicted: boolean;
  /** Whether it learns from labelled pairs of the reference's responses. */
  readonly labelled: boolean;
  readonly stages: Readonly<Partial<Record<ContenderStage, (context: Context, problems: Problems) => Promise<void>>>>;
  /** Place of its trained policy. */
  ref(run: RunStore): Promise<PolicyRef>;
  /** Name under which the rows of its last training are. */
  trainedAs(run: RunStore): Promise<string>;
  /** Work that led to it, up to the first `iterations` where it has some and they are given. */
  work(run: RunStore, iterations?: readonly MultiplierRow[]): Promise<Work>;
}

/** Work on a policy, by the names of rows, for its bill. */
export interface Work {
  /** Scorers, or models of preferences, whose scores of the reference's responses it used; none: no responses either. */
  readonly offline: readonly string[];
  /** Policies that it sampled on the training prompts and had scored. */
  readonly sampled: readonly string[];
  /** Policies trained, those that it started from included. */
  readonly trained: readonly string[];
  /** Iterations that count their own tokens and operations. */
  readonly iterations: readonly MultiplierRow[];
  /** Share of the trainings' seconds that is this work's; 1 by default. */
  readonly share?: number;
}

/** Contender with its row of the comparison's table. */
export interface Entry {
  readonly contender: Contender;
  readonly row: ComparisonRow;
}

/** Bill of a method up to a policy that reaches the margins, or of all that it tried. */
export interface ReachBill {
  readonly entry: Entry;
  /** What of the method is counted, in words; empty where it is all of one training. */
  readonly extent: string;
  readonly bill: Bill;
}

/** Rule that picks what of a method's contenders counts; none where nothing was promised to reach the margins. */
export type ReachRule = (
  own: readonly Entry[],
  at: { run: RunStore; recipe: CompareRecipe; costs: readonly CostRow[] },
) => Promise<ReachBill[]>;

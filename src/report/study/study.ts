/** A run as the sections of its page see it. */
import { InputError } from "../../errors.js";
import { contenders } from "../../methods/baselines/index.js";
import { compare } from "../../methods/compare/rows.js";
import type { SampleRow } from "../../ports/rows.js";
import type { RunStore } from "../../ports/store.js";
import type { CompareRecipe, Recipe } from "../../recipe/parse.js";
import { reference } from "../../stages/collect.js";
import { distinct, type PolicyFigures, type RunCounts } from "../figures.js";
import { type DualSeries, dualSeries } from "../series.js";
import { type HeldOutLengths, heldOutLengths } from "./lengths.js";
import { type Entry, policiesOfComparison, policyOfRun } from "./policies.js";
import { problemOfRun, problemsOfComparison, type SolvedProblem } from "./problems.js";
import { type TrainingFigures, trainingsOf } from "./trainings.js";

/** Options of a page. */
export interface PageOptions {
  /** Date of the report, ISO 8601. */
  readonly date: string;
  /** Most rows of the table of responses, drawn by the run's seed where there are more; most prompts of a comparison. */
  readonly maxResponses?: number;
}

/** Name of the reference, as the reader knows it. */
export const theReference = "the reference";

/**
 * Run or comparison, with what several sections need of it read once. A run is a comparison of one policy, so that
 * sections ask for policies and problems, and seldom for more.
 */
export class Study {
  /** Recipe of a comparison; null for a run of one method. */
  readonly comparison: CompareRecipe | null;
  readonly reference = theReference;
  readonly #known = new Map<string, Promise<unknown>>();

  private constructor(
    readonly run: RunStore,
    readonly options: PageOptions,
  ) {
    this.comparison = run.recipe.method === "compare" ? run.recipe : null;
  }

  /** @throws InputError if there is nothing to report yet: a run without a solution, a comparison not evaluated. */
  static async open(run: RunStore, options: PageOptions): Promise<Study> {
    const study = new Study(run, options);
    if (study.comparison && !(await run.isDone("evaluate")))
      throw new InputError(`the policies of ${run.path} are not evaluated yet: dualign resume ${run.path}`);
    await study.problems();
    return study;
  }

  get recipe(): Recipe {
    return this.run.recipe;
  }

  /** Name of the run: that of its folder. */
  get title(): string {
    return this.run.path.split(/[/\\]/).at(-1) ?? this.run.path;
  }

  /** Confidence of every interval: 0.95. */
  get confidence(): number {
    return this.recipe.evaluate.confidence;
  }

  /** Conditions that every policy is measured by. */
  get conditions(): { name: string; margin: number }[] {
    return this.recipe.safety.map(({ name, margin }) => ({ name, margin }));
  }

  /** Scorers by which every policy is measured, with their part in the problem. */
  get scorers(): { name: string; role: "reward" | "safety" | "held-out" }[] {
    const { reward, safety, evaluate } = this.recipe;
    return [
      { name: reward.name, role: "reward" },
      ...safety.map(({ name }) => ({ name, role: "safety" as const })),
      ...evaluate.scorers.map(({ name }) => ({ name, role: "held-out" as const })),
    ];
  }

  counts(): Promise<RunCounts> {
    return this.#once("counts", async () => ({
      prompts: (await this.run.prompts("train")).length,
      responses: this.recipe.sampling.num_samples,
      heldOutPrompts: (await this.run.prompts("held-out")).length,
      heldOutResponses: this.recipe.evaluate.num_samples,
    }));
  }

  /** Entries of a comparison in the order of its table; none in a run. */
  entries(): Promise<readonly Entry[]> {
    return this.#once("entries", async () => {
      if (!this.comparison) return [];
      const rows = await compare(this.run, this.comparison);
      return contenders(this.comparison).map((contender, i): Entry => ({ ...contender, row: rows[i] }));
    });
  }

  /** Policies in the order of the tables; several of them may share one training. */
  policies(): Promise<readonly PolicyFigures[]> {
    return this.#once("policies", async () =>
      this.comparison
        ? policiesOfComparison(this.run, this.comparison, await this.entries())
        : [await policyOfRun(this.run, (await this.problems())[0])],
    );
  }

  /** Policies that differ, of those that share a training the first. */
  async distinct(): Promise<readonly PolicyFigures[]> {
    return distinct(await this.policies()).map(({ policy }) => policy);
  }

  /** Problems whose λ was solved. */
  problems(): Promise<readonly SolvedProblem[]> {
    return this.#once("problems", async () =>
      this.comparison ? problemsOfComparison(this.run, this.comparison) : [await problemOfRun(this.run)],
    );
  }

  /** Figures of a problem's solve: some tens of solves. */
  series({ algorithm, scores, solution }: SolvedProblem): Promise<DualSeries> {
    // λ* by the amount of data takes some tens of solves: fewer repeats where one takes long.
    const repeats = Math.min(12, Math.max(3, Math.round(3e6 / scores.reward.length)));
    return this.#once(`series ${algorithm}`, async () =>
      dualSeries(scores, solution, { seed: this.recipe.seed, repeats }),
    );
  }

  /** Trainings of the policies that differ. */
  trainings(): Promise<readonly TrainingFigures[]> {
    return this.#once("trainings", () => trainingsOf(this));
  }

  /** Lengths of the held-out responses in tokens; null before there are any to compare. */
  lengths(): Promise<HeldOutLengths | null> {
    return this.#once("lengths", () => heldOutLengths(this));
  }

  /** Scores of a policy's held-out responses. */
  async heldOutScores(policy: string, scorer: string): Promise<Float64Array> {
    return (await this.run.scoreTable(policy, "held-out", [scorer])).columns[0];
  }

  heldOutSamples(policy: string): Promise<SampleRow[]> {
    return this.run.samples(policy, "held-out");
  }

  /** Value that is made on first use, and shared from then on. */
  #once<T>(name: string, make: () => Promise<T>): Promise<T> {
    const known = this.#known.get(name) ?? make();
    this.#known.set(name, known);
    return known as Promise<T>;
  }
}

export { reference };

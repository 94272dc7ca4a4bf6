/** Which engine did what in a run, as its recipe says; no address and no path. */
import type { Recipe, ScorerSpec } from "../../recipe/parse.js";
import { scorersOf } from "../../recipe/scorers.js";

/** Engine of a piece of work. */
export interface EngineOf {
  readonly work: string;
  readonly engine: string;
}

const embedded = "the embedded engine";

/** Engines of a recipe's works; none where the embedded engine does everything. */
export function enginesOf(recipe: Recipe): EngineOf[] {
  const { sample, train } = recipe.engine;
  const works = [
    { work: "samples and log-probabilities", engine: sample.kind === "embedded" ? embedded : "a server" },
    {
      work: "training",
      engine:
        train.kind === "embedded"
          ? embedded
          : `TRL, launched by ${launchers[train.launcher]}${train.num_workers > 1 ? `, ${train.num_workers} workers` : ""}`,
    },
    ...scorersOf(recipe).map((scorer) => ({
      work: `scores of ${scorer.name}`,
      engine: scorerEngines[scorer.kind] ?? embedded,
    })),
  ];
  const remote = works.some(({ engine }) => engine !== embedded && engine !== moduleEngine);
  return remote ? works : [];
}

const moduleEngine = "a module of the user’s";

const launchers = {
  local: "python",
  torchrun: "torchrun",
  accelerate: "accelerate",
  ray: "Ray",
  folder: "hand",
} as const;

/** Engines of scorers that the embedded one is not. */
const scorerEngines: Readonly<Partial<Record<ScorerSpec["kind"], string>>> = {
  module: moduleEngine,
  endpoint: "a server",
  rating: "a chat model on a server",
};

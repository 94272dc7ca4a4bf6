/** Scorers of a run: those that are given, and those whose models it trains on preferences first. */
import type { Scorer } from "../ports/scorer.js";
import type { RunStore } from "../ports/store.js";
import type { RowsJob } from "../ports/trainer.js";
import type { ReadyScorerSpec, ScorerSpec, TrainedScorerSpec } from "../recipe/parse.js";
import { trainedScorers } from "../recipe/scorers.js";
import { guidanceOf, scorerTrainingOptions } from "../recipe/train.js";
import type { Context } from "./context.js";
import { preferencePairs } from "./preferencePairs.js";
import { followTraining } from "./train.js";

/** Streams of the draws of preferences, apart from those of PeCAN's. */
const FIRST_STREAM = 0x5c0;

/** Trains the score models that are missing, each from its base model. */
export async function trainScorers(context: Context): Promise<void> {
  const { run } = context;
  const { recipe } = run;
  for (const [k, spec] of trainedScorers(recipe).entries()) {
    if (await run.training(spec.name)) continue;
    const pairs = await preferencePairs(context, spec.preferences, FIRST_STREAM + k);
    const { preferences, objective, model = recipe.model, train, max_length } = spec;
    await followTraining(
      context,
      "pretrain",
      { policy: spec.name, folder: `pretrained/${run.rowName(spec.name)}`, pairs: pairs.length },
      (outputDir): RowsJob => ({
        kind: "rows",
        objective,
        reference: { model },
        rows: pairs.map(({ prompt, chosen, rejected, safe }, i) => ({
          row: { prompt, chosen, rejected, ...(safe && { chosen_safe: safe[0], rejected_safe: safe[1] }) },
          where: `${preferences.file ?? preferences.dataset}, preference ${i + 1}`,
          group: JSON.stringify(prompt),
        })),
        options: scorerTrainingOptions(train, max_length),
        guidance: guidanceOf(train),
        seed: recipe.seed,
        outputDir,
        resume: true,
      }),
    );
  }
}

/** Scorer that can be opened, with the margin of the one that it stands for. */
type Ready<S extends ScorerSpec> = ReadyScorerSpec & Pick<S, Extract<keyof S, "margin">>;

/** Scorer as it can be opened: one that the run has trained lies in the run's folder. */
export async function readyScorer<S extends ScorerSpec>(run: RunStore, spec: S): Promise<Ready<S>> {
  if (spec.kind !== "preferences") return spec as unknown as Ready<S>;
  const { preferences: _, objective: __, train, model = run.recipe.model, ...rest } = spec as TrainedScorerSpec;
  const folder = `${run.path}/${(await run.training(spec.name))!.path}`;
  const place = train.use_peft ? { model, adapter: folder } : { model: folder };
  return { ...rest, kind: "model", ...place } as unknown as Ready<S>;
}

/** Opener of a recipe's scorer, for when its first score is asked. */
export const scorerOpener =
  ({ run, world }: Pick<Context, "run" | "world">, spec: ScorerSpec): (() => Promise<Scorer>) =>
  async () =>
    world.openScorer(await readyScorer(run, spec));

/** Check of a recipe's trainings, before anything is sampled. */
import { dpoLossOf } from "../train/objectives/dpo/losses.js";
import { shareOfWorkers, trlContradiction, unevenShare } from "./kinds/trl.js";
import { dpoObjective } from "./options.js";
import { scorersBehind } from "./parts.js";
import type { Fail, Recipe, ScorerSpec } from "./schema.js";
import { contradiction, guidanceOf, type Train } from "./train.js";

/**
 * Check of the trainings: a loss learns from the labels which it will get, options do not contradict each other, and the
 * engine that trains can do what is asked.
 * @throws what `fail` makes.
 */
export function checkTraining(recipe: Recipe, fail: Fail): void {
  const { beta, train, pairs } = recipe;
  const check = (key: string, options: Train, labels: "soft" | "hard") => {
    const against = contradiction(options);
    if (against) throw fail([key, against.key], `'${key}.${against.key}' ${against.message}`);
    const wrong = dpoLossOf(options.loss_type).objection?.(labels, dpoObjective(beta, options));
    if (wrong) throw fail([key, "loss_type"], `'${key}.loss_type' ${wrong}`);
  };
  check("train", train, pairs.labels === "soft" ? "soft" : "hard");
  const preferences = recipe.method === "pecan" ? recipe : recipe.method === "compare" ? recipe.preferences : undefined;
  const trained = preferences && [preferences.reward, ...preferences.safety];
  const pretrained = trained?.some(({ kind }) => kind === "data") && "pretrain" in recipe;
  if (pretrained) check("pretrain", recipe.pretrain, "hard");
  for (const [at, spec] of placedScorers(recipe)) {
    if (spec.kind !== "preferences") continue;
    const path = [...at, "train"];
    const against = contradiction(spec.train);
    if (against) throw fail([...path, against.key], `'${path.join(".")}.${against.key}' ${against.message}`);
    if (spec.objective === "cost" && spec.sign !== -1)
      throw fail([...at, "objective"], `'${at.join(".")}' is a cost, which is lower for what is safer: set sign: -1`);
  }
  checkTrl(recipe, { train, ...(pretrained ? { pretrain: recipe.pretrain } : {}) }, fail);
}

/** Scorers of a recipe with their places. */
function placedScorers(recipe: Recipe): [(string | number)[], ScorerSpec][] {
  const own: [(string | number)[], ScorerSpec][] =
    recipe.method === "pecan"
      ? []
      : [
          [["reward"], recipe.reward],
          ...scorersBehind(recipe.safety).map((spec, i): [(string | number)[], ScorerSpec] => [["safety", i], spec]),
        ];
  const held = recipe.evaluate.scorers.map((spec, i): [(string | number)[], ScorerSpec] => [
    ["evaluate", "scorers", i],
    spec,
  ]);
  return [...own, ...held];
}

/** Check of what TRL can do, for a recipe that trains by it. */
function checkTrl(
  { engine: { train: engine }, ...recipe }: Recipe,
  trainings: Readonly<Record<string, Train>>,
  fail: Fail,
): void {
  if (engine.kind !== "trl") return;
  const against = trlContradiction(engine);
  if (against) throw fail(["engine", "train", against.key], `'engine.train.${against.key}' ${against.message}`);
  if (recipe.method === "compare" && recipe.compare.safe_rlhf !== undefined)
    throw fail(
      ["compare", "safe_rlhf"],
      "'compare.safe_rlhf' is PPO, and TRL trains by DPO here: leave it out, or leave out 'engine.train'",
    );
  for (const [key, options] of Object.entries(trainings)) {
    const { learningRate, length } = guidanceOf(options);
    const found = "is 'auto', which the embedded engine finds and TRL does not";
    if (learningRate)
      throw fail([key, "learning_rate"], `'${key}.learning_rate' ${found}: give a number, such as 5e-4 for an adapter`);
    if (length)
      throw fail([key, "num_train_epochs"], `'${key}.num_train_epochs' ${found}: give it, or '${key}.max_steps'`);
    const { per_device_train_batch_size: batch, gradient_accumulation_steps: accumulation } = options;
    if (!shareOfWorkers(batch, accumulation, engine.num_workers))
      throw fail(
        ["engine", "train", "num_workers"],
        `'engine.train.num_workers': ${unevenShare(batch, accumulation, engine.num_workers)}`,
      );
  }
}

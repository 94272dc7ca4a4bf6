/** Changes of a run's recipe: which stages each touches, and the attempt that redoes those alone. */
import { InputError } from "../errors.js";
import type { NewAttempt, RunStore, StageName } from "../ports/store.js";
import { differingKeys, type Recipe, type TrainedScorerSpec } from "../recipe/parse.js";
import { isPart, scorersBehind } from "../recipe/parts.js";
import { aligned } from "../recipe/rowNames.js";
import { trainedScorers } from "../recipe/scorers.js";
import { nextAttempt } from "./namedRows.js";

/** What a change of a key asks for. */
type Touch =
  /** Other samples: a run of its own. */
  | "run"
  /** Models of preferences onward. */
  | "pretrain"
  /** Scores of the scorer at hand, and what rests on them. */
  | "scorer"
  | "dual"
  | "train"
  /** The evaluation, and scores of the reference that it needs. */
  | "evaluate"
  /** Nothing that is kept. */
  | "nothing";

/** Keys by what their change touches; the first that fits counts. */
const rules: readonly (readonly [key: RegExp, touch: Touch])[] = [
  [/^sampling\.batch_size$/, "nothing"],
  // A server that moved is the same server.
  [
    /^(engine\.sample|reward|safety\.\d+(\.of)?|evaluate\.scorers\.\d+)\.(endpoint|key|concurrency|timeout|retries)$/,
    "nothing",
  ],
  [
    /^(method|model|adapter|prompts\..*|sampling\..*|seed|confidence|calibrate\.num_prompts|engine\.sample.*|evaluate\.(prompts|num_samples|enumerate).*)$/,
    "run",
  ],
  [/^evaluate\./, "evaluate"],
  [/^train\.(save_steps|gradient_checkpointing)$/, "nothing"],
  [/^(train|engine\.train)/, "train"],
  [/^(beta|pairs\.|calibrate\b|safety\.\d+\.margin$)/, "dual"],
  [/^(pretrain|helpfulness)\b/, "pretrain"],
  [/^(reward|safety)\b/, "scorer"],
  [/^compare\b/, "evaluate"],
];

const order: readonly StageName[] = [
  "pretrain",
  "sample",
  "score",
  "logprobs",
  "dual",
  "relabel",
  "train",
  "calibrate",
  "evaluate",
  "report",
];

/** Stages that a change touches, the first of them and all after it. */
const first: Readonly<Record<Exclude<Touch, "run" | "nothing" | "evaluate">, StageName>> = {
  pretrain: "pretrain",
  scorer: "score",
  dual: "dual",
  train: "train",
};

/** Change of a recipe: the keys, the stages that are redone, and the attempt. */
export interface Change {
  /** Number of the attempt. */
  readonly number: number;
  readonly keys: readonly string[];
  readonly redone: readonly StageName[];
  readonly attempt: NewAttempt;
  /** Name in the rows of the policy that is trained anew from the solve and the pairs of the one before, where one is. */
  readonly retrained?: string;
  /** Scorers whose trained models are taken over under another name in the rows: their scores change, and no more. */
  readonly takenScorers: readonly { readonly name: string; readonly as: string }[];
}

/** Begins the attempt of a change, what its training starts from put under its own name first. */
export async function beginChange<Run extends RunStore>(
  run: Run,
  { attempt, retrained, takenScorers }: Change,
): Promise<Run> {
  // Written beforehand: after a kill there is either no such attempt, or one that has all it needs.
  const renamed = <Row extends { policy: string }>(rows: readonly Row[], policy = retrained!) =>
    rows.map((row) => ({ ...row, policy }));
  for (const { name, as } of takenScorers) {
    await run.replace("trainings", { policy: as }, renamed(await run.select("trainings", { policy: name }), as));
    await run.replace("arrivals", { policy: as }, renamed(await run.select("arrivals", { policy: name }), as));
  }
  if (retrained !== undefined) {
    const [own, old] = [{ policy: retrained }, { policy: aligned }];
    await run.replace("solves", own, renamed(await run.select("solves", old)));
    await run.replace("aims", own, renamed(await run.select("aims", old)));
    await run.replace("predictions", own, renamed(await run.select("predictions", old)));
    await run.replace("pairs", own, renamed(await run.select("pairs", old)));
  }
  return (await run.begin(attempt)) as Run;
}

/** Change that a recipe asks of a run: {@link changeOf} its recipe. Errors as there. */
export async function changeOfRun(
  run: RunStore,
  recipe: Recipe,
  options: Omit<Parameters<typeof changeOf>[2], "number" | "rowNames">,
): Promise<Change | undefined> {
  const number = await nextAttempt(run);
  return changeOf(run.recipe, recipe, { ...options, number, rowNames: run.attempt.rowNames });
}

/**
 * Attempt that a changed recipe asks for; undefined where nothing changed.
 * @param options.number of the attempt. @param options.changed names of scorers and judges whose content has changed in place.
 *   @param options.stages of the method, in order.
 * @throws InputError where the change asks for a run of its own.
 */
export function changeOf(
  before: Recipe,
  recipe: Recipe,
  options: {
    readonly number: number;
    readonly recipeText: string;
    readonly stages: readonly StageName[];
    readonly changed?: readonly string[];
    /** Names of rows of the attempt before. */
    readonly rowNames: Readonly<Record<string, string>>;
    readonly folder: string;
  },
): Change | undefined {
  const { number, recipeText, stages, changed = [], folder } = options;
  const keys = differingKeys(before, JSON.parse(JSON.stringify(recipe)));
  if (keys.length === 0 && changed.length === 0) return undefined;
  // What PeCAN's models are trained with decides their scores too.
  const pecan = (touch: Touch, key: string): Touch =>
    recipe.method === "pecan" &&
    (touch === "scorer" || (touch === "train" && !("pretrain" in recipe)) || key === "beta")
      ? "pretrain"
      : touch;
  // Calibration prompts are set aside for a confidence, whichever it is.
  const keepsPrompts = (key: string) => key === "confidence" && confidenceOf(before) && confidenceOf(recipe);
  const touchOf = (key: string): Touch =>
    keepsPrompts(key) ? "dual" : (rules.find(([rule]) => rule.test(key))?.[1] ?? "run");
  const touches = new Map(keys.map((key) => [key, pecan(touchOf(key), key)] as const));
  const keysOf = (wanted: (touch: Touch, key: string) => boolean) =>
    [...touches].flatMap(([key, touch]) => (wanted(touch, key) ? [key] : []));
  const refuse = (of: readonly string[], why: string) => {
    if (of.length === 0) return;
    throw new InputError(
      `the run in ${folder} was started from another recipe (${differInWords(of)}), ${why}: ` +
        `give --run another folder, start anew there by --fresh, or go on with the old recipe by 'dualign resume ${folder}'`,
    );
  };
  refuse(
    keysOf((touch) => touch === "run"),
    "which would draw other samples",
  );
  const judges = new Set(recipe.evaluate.judges.map(({ name }) => name));
  // A comparison's policies are measured alike: one that is added joins them, and nothing else changes.
  if (recipe.method === "compare")
    refuse(
      [
        ...keysOf((touch, key) => touch !== "nothing" && !/^(compare|evaluate\.judges)\b/.test(key)),
        ...changed.filter((name) => !judges.has(name)),
      ],
      "and a comparison's policies are measured as they are",
    );

  const found = new Set<Touch>(touches.values());
  // What only measures touches what is measured.
  const solved = new Set([recipe.reward, ...recipe.safety].map(({ name }) => name));
  for (const name of changed)
    found.add(solved.has(name) ? (recipe.method === "pecan" ? "pretrain" : "scorer") : "evaluate");
  const earliest = (["pretrain", "scorer", "dual", "train"] as const).find((touch) => found.has(touch));
  const from = earliest === undefined ? order.length : order.indexOf(first[earliest]);
  const again: readonly StageName[] =
    recipe.method === "compare"
      ? ["dual", "relabel", "train", "evaluate", "report"]
      : ["score", "logprobs", "evaluate", "report"];
  const old = new Map(partsOf(before).map((part) => [part.name, content(part)]));
  const taught = new Map(trainedScorers(before).map((spec) => [spec.name, teaching(spec)]));
  // A scorer whose model the run trains is trained anew with its own change, and no other with it.
  const training = trainedScorers(recipe).some(
    (spec) => changed.includes(spec.name) || taught.get(spec.name) !== teaching(spec),
  );
  const redone = stages.filter(
    (stage) =>
      stage !== "sample" &&
      (order.indexOf(stage) >= from ||
        (stage === "pretrain" && training) ||
        (found.has("evaluate") && again.includes(stage))),
  );
  const fresh = new Set([...(earliest === undefined ? [] : [aligned]), ...changed]);
  if (earliest === "pretrain") for (const { name } of [recipe.reward, ...recipe.safety]) fresh.add(name);
  // What is made of a scorer's scores changes with it.
  if (recipe.method === "mocan")
    for (const spec of recipe.safety) if (isPart(spec) && fresh.has(spec.of.name)) fresh.add(spec.name);
  for (const part of partsOf(recipe))
    if (old.has(part.name) && old.get(part.name) !== content(part)) fresh.add(part.name);
  const rowNames = {
    ...options.rowNames,
    ...Object.fromEntries([...fresh].map((name) => [name, `${name}@${number}`])),
  };
  return {
    number,
    takenScorers: trainedScorers(recipe).flatMap((spec) =>
      fresh.has(spec.name) && !changed.includes(spec.name) && taught.get(spec.name) === teaching(spec)
        ? [{ name: spec.name, as: `${spec.name}@${number}` }]
        : [],
    ),
    keys: [...keys, ...changed.map((name) => `the content of '${name}'`)],
    redone,
    ...(earliest === "train" && { retrained: `${aligned}@${number}` }),
    attempt: { recipe, recipeText, rowNames, takenOver: stages.filter((stage) => !redone.includes(stage)) },
  };
}

/** Sentence on what a change redoes and what it keeps. */
export function changeInWords({ number, keys, redone, attempt: { takenOver } }: Change): string {
  const redoes = redone.length > 0 ? `redoes ${redone.join(", ")}` : "redoes nothing";
  return `attempt ${number} (${someOf(keys)} changed): ${redoes}; keeps ${takenOver.join(", ")}`;
}

/** Words for keys that differ: "beta, seed differ". */
export const differInWords = (keys: readonly string[]): string =>
  `${someOf(keys)} differ${keys.length === 1 ? "s" : ""}`;

const someOf = (keys: readonly string[]) => `${keys.slice(0, 6).join(", ")}${keys.length > 6 ? ", …" : ""}`;

/** Confidence of a recipe; undefined where none is asked. */
const confidenceOf = (recipe: Recipe): number | undefined =>
  recipe.method === "compare" || recipe.confidence === "none" ? undefined : recipe.confidence;

/** Parts of a recipe whose rows go by their names. */
const partsOf = (recipe: Recipe): { name: string }[] => [
  recipe.reward,
  ...(recipe.method === "pecan" ? [] : scorersBehind(recipe.safety)),
  ...recipe.safety,
  ...recipe.evaluate.scorers,
  ...recipe.evaluate.judges,
];

/** What the model of a trained scorer is made of: sign and scale come after it. */
const teaching = ({ sign: _, scale: __, ...spec }: TrainedScorerSpec): string => content(spec);

/** What a part computes: its margin is a question to it, no part of it. */
const content = (part: { name: string }): string => {
  const { margin: _, ...rest } = part as { name: string; margin?: number };
  return JSON.stringify(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)));
};

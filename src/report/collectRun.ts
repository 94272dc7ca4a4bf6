/** What a run's report shows, from the rows of the run alone. */
import { stringify } from "yaml";
import { certificateCaution } from "../dual/certificate.js";
import { bootstrap, type DualIntervals, solveDual } from "../dual/index.js";
import { InputError } from "../errors.js";
import { marginMeaning } from "../methods/pecan.js";
import type { EvaluationRow, SampleRow, SolveRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import { Random } from "../random.js";
import { dpoObjective } from "../recipe/options.js";
import type { Recipe } from "../recipe/parse.js";
import { arrivalOf } from "../stages/arrival.js";
import { reference } from "../stages/collect.js";
import { aligned } from "../stages/context.js";
import { trainScores } from "../stages/score.js";
import { contentText } from "../text/messages.js";
import type { Text } from "../text/rows.js";
import { knownLoss } from "../train/objectives/dpo.js";
import type {
  ConstraintOutcome,
  Cost,
  Distribution,
  Example,
  Examples,
  Lengths,
  Outcome,
  ReportData,
  Training,
} from "./data.js";
import { dualSeries } from "./series.js";

export interface ReportOptions {
  /** ISO 8601, of the report. */
  date: string;
  /** Most rows of the table of responses; drawn by the run's seed where there are more. */
  maxExamples?: number;
}

/**
 * Collects the report of a run that has solved its dual; what it has not measured yet is left out.
 * @throws InputError if the dual is not solved.
 */
export async function collectReport(run: RunStore, { date, maxExamples = 300 }: ReportOptions): Promise<ReportData> {
  const { recipe, origin } = run;
  const solve = await run.solve(aligned);
  if (!solve) throw new InputError(`the run in ${run.path} has no solution to report: dualign dual ${run.path}`);
  const { beta, margins, lambda } = solve;
  const scores = await trainScores(run);
  const solution = solveDual(scores, { beta, margins });
  const { bootstrap: replicates, confidence } = recipe.evaluate;
  const intervals = bootstrap(scores, solution, { replicates, confidence, seed: recipe.seed });
  const measured = new Map((await run.evaluations(aligned)).map((row) => [row.scorer, row]));
  const held = await heldOutResponses(run);

  return {
    title: run.path.split(/[/\\]/).at(-1) ?? run.path,
    algorithm: recipe.method === "mocan" ? "MoCAN" : "PeCAN",
    date,
    reference: "the reference",
    aligned: "the aligned model",
    beta,
    confidence,
    counts: {
      prompts: scores.offsets.length - 1,
      responses: recipe.sampling.num_samples,
      heldOutPrompts: (await run.prompts("held-out")).length,
      heldOutResponses: recipe.evaluate.num_samples,
    },
    reward: outcome(recipe.reward.name, measured, solve.rewardGain, intervals.rewardGain),
    constraints: recipe.safety.map(
      ({ name }, j): ConstraintOutcome => ({
        ...outcome(name, measured, solve.safetyGain[j], intervals.safetyGain[j]),
        margin: margins[j],
        lambda: lambda[j],
        lambdaInterval: intervals.lambda[j],
        verdict: measured.get(name)?.verdict ?? null,
        meaning: meaning(solve, name, j),
      }),
    ),
    heldOut: recipe.evaluate.scorers.map(({ name }) => outcome(name, measured, null)),
    winRates: (await run.winRates(aligned)).map(({ low, high, ...row }) => ({ ...row, interval: [low, high] })),
    kl: outcome("kl", measured, solve.kl, intervals.kl),
    distributions: await distributions(run),
    lengths: lengths(held, recipe.sampling.max_new_tokens),
    dual: dualSeries(scores, solution, { seed: recipe.seed, repeats: subsetRepeats(scores.reward.length) }),
    certificate: certificateCaution(solution),
    infeasibleResamples: intervals.infeasible,
    training: await training(run),
    arrival: await arrivalOf(run, aligned),
    examples: await examples(run, held, maxExamples),
    recipe: origin.recipeText,
    settings: stringify(recipe, { lineWidth: 100 }),
    seeds: { "prompts, samples, pairs, training, bootstrap": recipe.seed },
    versions: versions(run),
    costs: await costs(run),
  };
}

function outcome(
  name: string,
  measured: ReadonlyMap<string, EvaluationRow>,
  predicted: number | null,
  predictedInterval?: DualIntervals["kl"],
): Outcome {
  const row = measured.get(name);
  return {
    name,
    predicted,
    predictedInterval,
    measured: row?.measured ?? null,
    interval: row ? [row.low, row.high] : null,
  };
}

/** λ* by the amount of data takes some tens of solves: fewer repeats where one takes long. */
export const subsetRepeats = (samples: number) => Math.min(12, Math.max(3, Math.round(3e6 / samples)));

const meaning = ({ beta, margins, klTerms }: SolveRow, name: string, j: number) =>
  klTerms ? marginMeaning({ name, margin: margins[j], beta, klTerm: klTerms[j] }) : undefined;

export const scorersOf = ({ reward, safety, evaluate }: Recipe): { name: string; role: Distribution["role"] }[] => [
  { name: reward.name, role: "reward" },
  ...safety.map(({ name }) => ({ name, role: "safety" as const })),
  ...evaluate.scorers.map(({ name }) => ({ name, role: "held-out" as const })),
];

async function distributions(run: RunStore): Promise<Distribution[]> {
  const found: Distribution[] = [];
  for (const { name, role } of scorersOf(run.recipe)) {
    const before = (await run.scoreTable(reference, "held-out", [name])).columns[0];
    const after = (await run.scoreTable(aligned, "held-out", [name])).columns[0];
    if (after.length > 0) found.push({ name, role, before, after });
  }
  return found;
}

/** Both policies' responses to the same held-out prompt, by number. */
interface HeldOutPair {
  prompt: number;
  sample: number;
  before: SampleRow;
  after: SampleRow;
}

const key = ({ prompt, sample }: { prompt: number; sample: number }) => `${prompt}/${sample}`;

async function heldOutResponses(run: RunStore): Promise<HeldOutPair[]> {
  const after = new Map((await run.samples(aligned, "held-out")).map((row) => [key(row), row]));
  return (await run.samples(reference, "held-out")).flatMap((row) => {
    const other = after.get(key(row));
    return other ? [{ prompt: row.prompt, sample: row.sample, before: row, after: other }] : [];
  });
}

function lengths(held: readonly HeldOutPair[], limit: number): Lengths | undefined {
  if (held.length === 0) return undefined;
  const share = (side: "before" | "after") =>
    held.filter((pair) => pair[side].finishReason === "length").length / held.length;
  return {
    before: held.map(({ before }) => before.responseIds.length),
    after: held.map(({ after }) => after.responseIds.length),
    limit,
    cutBefore: share("before"),
    cutAfter: share("after"),
  };
}

async function examples(run: RunStore, held: readonly HeldOutPair[], most: number): Promise<Examples | undefined> {
  if (held.length === 0) return undefined;
  const scorers = scorersOf(run.recipe).map(({ name }) => name);
  const texts = new Map((await run.prompts("held-out")).map(({ prompt, text }) => [prompt, readable(text)]));
  const before = await scoresByKey(run, reference, scorers);
  const after = await scoresByKey(run, aligned, scorers);
  const rows = choose(held, most, run.recipe.seed).map(
    (pair): Example => ({
      prompt: texts.get(pair.prompt) ?? "",
      before: { response: pair.before.response, scores: before(pair) },
      after: { response: pair.after.response, scores: after(pair) },
    }),
  );
  return { scorers, rows, total: held.length, elsewhere: "run.duckdb, view “scored”" };
}

/** At most so many of the rows: of as many prompts as there is room for, the first response of each, then the second. */
function choose(held: readonly HeldOutPair[], most: number, seed: number): HeldOutPair[] {
  const prompts = new Random(seed).shuffle([...new Set(held.map(({ prompt }) => prompt))]).slice(0, most);
  const chosen = new Set(prompts);
  const perPrompt = Math.max(1, Math.floor(most / prompts.length));
  const taken = new Map<number, number>();
  return held
    .filter(({ prompt }) => {
      const count = taken.get(prompt) ?? 0;
      taken.set(prompt, count + 1);
      return chosen.has(prompt) && count < perPrompt;
    })
    .sort((a, b) => a.sample - b.sample);
}

export async function scoresByKey(run: RunStore, policy: string, scorers: readonly string[]) {
  const found = new Map<string, number[]>();
  for (const [k, scorer] of scorers.entries()) {
    const { prompt, sample, columns } = await run.scoreTable(policy, "held-out", [scorer]);
    for (const [i, score] of columns[0].entries()) {
      const at = key({ prompt: prompt[i], sample: sample[i] });
      const row = found.get(at) ?? scorers.map(() => Number.NaN);
      row[k] = score;
      found.set(at, row);
    }
  }
  return (pair: { prompt: number; sample: number }): readonly number[] =>
    found.get(key(pair)) ?? scorers.map(() => Number.NaN);
}

/** A user's only turn by itself; more turns each under its role. */
export function readable(text: Text): string {
  if (typeof text === "string") return text;
  if (text.length === 1 && text[0].role === "user") return contentText(text[0]);
  return text.map((message) => `${message.role}: ${contentText(message)}`).join("\n\n");
}

/** A curve shows no more steps than this. */
const maxSteps = 600;

async function training(run: RunStore): Promise<Training | undefined> {
  const steps = await run.trainSteps(aligned);
  if (steps.length === 0) return undefined;
  const stride = Math.ceil(steps.length / maxSteps);
  const means = Array.from({ length: Math.ceil(steps.length / stride) }, (_, i) => {
    const part = steps.slice(i * stride, (i + 1) * stride);
    return { step: part[part.length - 1].step, loss: part.reduce((sum, { loss }) => sum + loss, 0) / part.length };
  });
  const pairs = await run.pairs(aligned);
  const { choice, labels } = run.recipe.pairs;
  return {
    steps: means,
    pairs: pairs.length,
    pairsNote: `${choice} pairs, ${labels} labels`,
    optimum: knownLoss(dpoObjective(run.recipe.beta, run.recipe.train), pairs)?.optimum,
  };
}

export function versions({ recipe, origin }: RunStore): Record<string, string> {
  return {
    "reference model": recipe.model,
    ...(recipe.adapter === undefined ? {} : { "its adapter": recipe.adapter }),
    ...origin.versions,
    "recipe’s SHA-256": origin.recipeSha256.slice(0, 16),
    started: origin.started.slice(0, 16).replace("T", " "),
  };
}

interface Work {
  stage: string;
  policy: string;
  activity: string;
  /** That went through a model, and how often each did: forward, back, and once more for weights that are trained. */
  tokens?: number;
  passes?: number;
  /** Whether the tokens are this work's own product, to be told beside it. */
  counted?: boolean;
}

/** The run's bill, in the order of the work; the solve and the labels, which no model works on, by their stages. */
async function costs(run: RunStore): Promise<Cost[]> {
  const { reward, safety, train } = run.recipe;
  const names = [reward, ...safety].map(({ name }) => name);
  const bill = await run.costs();
  const trained = async (policy: string) =>
    (await run.trainSteps(policy)).reduce((sum, { tokens = 0 }) => sum + tokens, 0);
  const sampled = await run.sampledTokens(reference, "train");
  const training = { passes: train.use_peft ? 2 : 3, counted: true };
  const held = (policy: string) => run.sampledTokens(policy, "held-out");
  const work: Work[] = [
    ...(await Promise.all(
      names.map(async (name) => ({
        stage: `pretrain ${name}`,
        policy: name,
        activity: "pretrain",
        tokens: await trained(name),
        ...training,
      })),
    )),
    { stage: "sample", policy: reference, activity: "sample", tokens: sampled, passes: 1, counted: true },
    ...names.map((name) => ({
      stage: `score ${name}`,
      policy: reference,
      activity: `score ${name}`,
      tokens: sampled,
      passes: 1,
    })),
    { stage: "dual", policy: aligned, activity: "dual" },
    { stage: "relabel", policy: aligned, activity: "relabel" },
    { stage: "train", policy: aligned, activity: "train", tokens: await trained(aligned), ...training },
    {
      stage: "evaluate the reference",
      policy: reference,
      activity: "evaluate",
      tokens: await held(reference),
      counted: true,
    },
    {
      stage: "evaluate the aligned model",
      policy: aligned,
      activity: "evaluate",
      tokens: await held(aligned),
      counted: true,
    },
  ];
  const perToken = bill.find((row) => row.policy === reference && row.activity === "sample")?.flopsPerToken;
  const found: Cost[] = [];
  for (const { stage, policy, activity, tokens, passes, counted } of work) {
    const billed = bill.find((row) => row.policy === policy && row.activity === activity);
    const seconds =
      billed?.seconds ?? (stage === "dual" || stage === "relabel" ? await run.stageSeconds(stage) : undefined);
    if (seconds === undefined) continue;
    const flops = billed?.flopsPerToken ?? (counted ? perToken : undefined);
    found.push({
      stage,
      seconds,
      tokens: counted && tokens ? tokens : undefined,
      flops: passes && tokens && flops ? passes * tokens * flops : undefined,
      peakMemoryBytes: billed?.peakMemoryBytes ?? undefined,
    });
  }
  return found;
}

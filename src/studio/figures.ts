/** Figures of a run as the page gets them, from its rows. */
import { methodOf } from "../methods/methods.js";
import type { Split } from "../ports/rows.js";
import { drawSections, gatherPage } from "../report/index.js";
import { reference } from "../stages/collect.js";
import { confidenceOf } from "../stages/confidence.js";
import { aligned } from "../stages/context.js";
import { isShare } from "../stages/parts.js";
import type { RunFolder } from "../store/runFolder.js";
import {
  type AttemptFigures,
  type DrawnSection,
  type JobState,
  type LiveState,
  mostFound,
  type PromptTexts,
  type RunFigures,
  type ScoresHeader,
  type StepFigures,
  type VerdictPage,
} from "./api.js";

/** Figures of a run with all its attempts. */
export async function runFigures(
  run: RunFolder,
  { id, live, job }: { id: string; live: LiveState | null; job: JobState | null },
): Promise<RunFigures> {
  const { recipe } = run;
  const attempts: AttemptFigures[] = [];
  for (const attempt of await run.attempts()) attempts.push(await attemptFigures(run.at(attempt)));
  const splits = await run.query("SELECT split, count(*)::INTEGER AS prompts FROM prompts GROUP BY split");
  const counts = new Map(splits.map(({ split, prompts }) => [split as Split, prompts as number]));
  return {
    id,
    name: id.split("/").at(-1) ?? id,
    path: run.path,
    method: recipe.method,
    model: recipe.model,
    started: run.origin.started,
    reward: recipe.reward.name,
    scorers: [
      { name: recipe.reward.name, role: "reward" },
      ...recipe.safety.map(({ name }) => ({ name, role: "safety" as const })),
      ...recipe.evaluate.scorers.map(({ name }) => ({ name, role: "held-out" as const })),
    ],
    judges: recipe.evaluate.judges.map(({ name }) => name),
    counts: {
      train: counts.get("train") ?? 0,
      calibration: counts.get("calibration") ?? 0,
      heldOut: counts.get("held-out") ?? 0,
      responses: recipe.sampling.num_samples,
      heldOutResponses: recipe.evaluate.num_samples,
    },
    seed: recipe.seed,
    intervals: recipe.evaluate.confidence,
    power: confidenceOf(recipe)?.power ?? 0.95,
    shares: recipe.safety.map(isShare),
    scored: await isScored(run),
    temperature: recipe.sampling.temperature,
    attempts,
    live,
    job,
  };
}

/** Whether the reference's responses to the training prompts are all scored. */
const isScored = (run: RunFolder): Promise<boolean> => run.isDone(run.recipe.method === "pecan" ? "logprobs" : "score");

async function attemptFigures(run: RunFolder): Promise<AttemptFigures> {
  const { recipe } = run;
  const { attempt, label, started } = run.attempt;
  const done = new Map((await run.select("stages", { attempt })).map(({ stage, seconds }) => [stage, seconds]));
  const solve = await run.solve(aligned);
  const [aim] = await run.select("aims", { policy: aligned });
  const prediction = await run.prediction(aligned);
  const [calibration] = await run.select("calibrations", { policy: aligned });
  const evaluations = await run.evaluations(aligned);
  return {
    attempt,
    label,
    started: new Date(started).toISOString(),
    beta: recipe.beta,
    margins: recipe.safety.map(({ name, margin }) => ({ name, margin })),
    confidence: confidenceOf(recipe)?.confidence ?? null,
    stages: methodOf(recipe).stages.map(([stage]) => ({ stage, done: done.has(stage), seconds: done.get(stage) })),
    lambda: solve?.lambda ?? null,
    aim: aim ? { aimed: aim.aimed, price: aim.price } : null,
    predicted: prediction ? { reward: prediction.rewardGain, safety: prediction.safetyGain, kl: prediction.kl } : null,
    gains: evaluations.map(({ scorer, role, predicted, measured, low, high, reference, aligned, margin, verdict }) => ({
      ...{ scorer, role, predicted, measured, low, high, reference, aligned, margin, verdict },
    })),
    strength: calibration
      ? { chosen: calibration.strength, outcome: calibration.outcome, reason: calibration.reason }
      : null,
    strengths: await run.select("strengths", { policy: aligned }),
    looks: await run.select("looks", { policy: aligned }),
    shares: await run.select("shares", { policy: aligned }),
    winRates: await run.winRates(aligned),
    trainedSteps: (await run.training(aligned))?.steps ?? null,
  };
}

/**
 * Scores of the reference's responses to the training prompts as bytes: the length of a JSON header (uint32), the header
 * padded with spaces to a multiple of 8, then its arrays, little-endian.
 */
export async function scoreBytes(run: RunFolder): Promise<Uint8Array> {
  const { reward, safety } = run.recipe;
  const names = safety.map(({ name }) => name);
  const table = await run.scoreTable(reference, "train", [reward.name, ...names]);
  const header: ScoresHeader = { reward: reward.name, safety: names, responses: table.prompt.length };
  const text = JSON.stringify(header);
  const padded = Buffer.from(
    text.padEnd(Math.ceil((Buffer.byteLength(text) + 4) / 8) * 8 - 4 - (Buffer.byteLength(text) - text.length)),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32LE(padded.length);
  const arrays = [...table.columns, table.prompt].map(({ buffer, byteOffset, byteLength }) =>
    Buffer.from(buffer, byteOffset, byteLength),
  );
  return Buffer.concat([length, padded, ...arrays]);
}

/** Prompts of those numbers with the reference's responses, in the order in which their scores come. */
export async function promptTexts(run: RunFolder, prompts: readonly number[]): Promise<PromptTexts[]> {
  const { reward, safety } = run.recipe;
  const found: PromptTexts[] = [];
  for (const prompt of prompts) {
    const [asked] = await run.select("prompts", { split: "train", prompt });
    if (!asked) continue;
    const rows = await run.query(
      `SELECT sample, response FROM samples WHERE policy = $1 AND prompt = $2
       AND (SELECT count(*) FROM scores s WHERE s.policy = $1 AND s.prompt = $2 AND s.sample = samples.sample
         AND list_contains(string_split($3, chr(31)), s.scorer)) = $4
       ORDER BY sample`,
      run.rowName(reference),
      prompt,
      [reward, ...safety].map(({ name }) => run.rowName(name)).join("\u001f"),
      1 + safety.length,
    );
    found.push({
      prompt,
      text: asked.text ?? [...asked.messages!],
      responses: rows.map(({ response }) => response as string),
    });
  }
  return found;
}

/** Training prompts whose text, or one of whose responses, has every word, at most {@link mostFound} of them. */
export async function findPrompts(run: RunFolder, words: string): Promise<number[]> {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const condition = wanted.map((_, i) => `contains(text, $${i + 2})`).join(" AND ");
  const rows = await run.query(
    `WITH texts AS (
       SELECT prompt, lower(coalesce(any_value(p.text), any_value(p.messages)::VARCHAR) || ' ' || string_agg(s.response, ' ')) AS text
       FROM prompts p JOIN samples s USING (prompt) WHERE s.policy = $1 AND p.split = 'train' GROUP BY prompt)
     SELECT prompt FROM texts ${wanted.length > 0 ? `WHERE ${condition}` : ""} ORDER BY prompt LIMIT ${mostFound}`,
    run.rowName(reference),
    ...wanted,
  );
  return rows.map(({ prompt }) => prompt as number);
}

/** Steps of an attempt's training, at most some hundreds. */
export async function stepFigures(run: RunFolder): Promise<StepFigures> {
  const steps = await run.trainSteps(aligned);
  const stride = Math.ceil(steps.length / 400) || 1;
  return {
    total: steps.length,
    steps: steps
      .filter((_, i) => i % stride === 0 || i === steps.length - 1)
      .map(({ step, loss, learning_rate }) => ({ step, loss, learning_rate })),
    multipliers: (await run.multipliers(aligned)).map(({ iteration, lambda }) => ({ iteration, lambda })),
  };
}

/** Page of the judges' verdicts on an attempt's policy, with both responses and the judge's words. */
export async function verdictPage(run: RunFolder, offset: number, limit: number): Promise<VerdictPage> {
  const policy = run.rowName(aligned);
  const names = new Map(run.recipe.evaluate.judges.map(({ name }) => [run.rowName(name), name]));
  const judges = [...names.keys()].join("\u001f");
  const own = "v.policy = $1 AND list_contains(string_split($2, chr(31)), v.judge)";
  const [{ total }] = await run.query(`SELECT count(*)::INTEGER AS total FROM verdicts v WHERE ${own}`, policy, judges);
  const rows = await run.query(
    `SELECT v.judge, v.prompt, v.sample, v.policy_first, v.preference, v.answer, a.response AS aligned,
       r.response AS reference, p.text, p.messages::VARCHAR AS messages
     FROM verdicts v JOIN prompts p USING (prompt)
     JOIN samples a ON a.policy = v.policy AND a.prompt = v.prompt AND a.sample = v.sample
     JOIN samples r ON r.policy = $3 AND r.prompt = v.prompt AND r.sample = v.sample
     WHERE ${own} ORDER BY v.judge, v.prompt, v.sample, v.policy_first LIMIT ${limit} OFFSET ${offset}`,
    policy,
    judges,
    run.rowName(reference),
  );
  return {
    total: total as number,
    rows: rows.map((row) => ({
      judge: names.get(row.judge as string)!,
      prompt: row.prompt as number,
      text: row.text === null ? JSON.parse(row.messages as string) : (row.text as string),
      sample: row.sample as number,
      policyFirst: row.policy_first as boolean,
      preference: row.preference as string,
      answer: row.answer as string | null,
      reference: row.reference as string,
      aligned: row.aligned as string,
    })),
  };
}

/**
 * Sections of an attempt's report, drawn as in its page.
 * @throws InputError if there is nothing to report yet.
 */
export async function drawnSections(run: RunFolder): Promise<DrawnSection[]> {
  const page = await gatherPage(run, { date: new Date().toISOString() });
  return drawSections(page).flatMap(({ id, title, body, data }) =>
    // The page has lists of its own for what needs a script in the report.
    id === "responses" ? [] : [{ id, title, markup: body.markup, data }],
  );
}

/** Responses side by side: numbers can be gamed, text less easily. */
import type { SampleRow } from "../../ports/rows.js";
import { Random } from "../../random.js";
import { count, plural } from "../format.js";
import { html } from "../html.js";
import {
  type PromptResponses,
  policiesBeside,
  type ResponsesData,
  responsesTable,
  type ScoredResponse,
} from "../responsesMarkup.js";
import type { Section } from "../section.js";
import { readablePrompts } from "../study/promptTexts.js";
import { reference, type Study } from "../study/study.js";

/** Responses of every policy to the same held-out prompts. */
export const responses: Section<"responses", ResponsesData> = {
  id: "responses",
  title: "Responses side by side",
  async gather(study) {
    const policies = await study.distinct();
    const [only] = policies;
    const { total, rows } =
      policies.length === 1 ? await ofOne(study, only.policy, only.name) : await ofMany(study, policies);
    if (rows.length === 0) return null;
    return {
      reference: study.reference,
      policies: policies.map(({ name }) => name),
      counts: await study.counts(),
      scorers: study.scorers.map(({ name }) => name),
      rows,
      total,
      elsewhere: "run.duckdb, view “scored”",
    };
  },
  draw(data) {
    const { rows, policies, total, counts, elsewhere } = data;
    if (rows.length === 0) return null;
    if (policies.length > 1)
      return html`<p>The first response of every policy to the same held-out prompts, chosen without a look at what the policies say. All others are in ${elsewhere}. <strong>They may contain offensive or harmful text.</strong></p>
${policiesBeside(data)}`;
    return html`<p>Numbers can be gamed, text less easily: read some. Sort by a score’s change to see where alignment helped and where it hurt. The table holds ${
      total <= rows.length
        ? html`${plural(rows.length, "response")} of each model to the ${plural(counts.heldOutPrompts, "held-out prompt")}`
        : html`${count(rows.length)} of the ${plural(total, "response")} of each model to the ${plural(counts.heldOutPrompts, "held-out prompt")}, drawn by the run’s seed and not by their scores; all are in ${elsewhere}`
    }. <strong>It may contain offensive or harmful text.</strong></p>
${responsesTable(data)}`;
  },
};

interface Found {
  readonly total: number;
  readonly rows: PromptResponses[];
}

const keyOf = ({ prompt, sample }: { prompt: number; sample: number }) => `${prompt}/${sample}`;

/** Most rows of the table of one policy's responses, and most prompts beside which many policies' stand. */
const mostRows = 300;
const mostPrompts = 12;

/** Pairs of the reference's response and the policy's of the same number: as many of them as there is room for. */
async function ofOne(study: Study, policy: string, name: string): Promise<Found> {
  const after = new Map((await study.heldOutSamples(policy)).map((row) => [keyOf(row), row]));
  const pairs = (await study.heldOutSamples(reference)).flatMap((row) => {
    const other = after.get(keyOf(row));
    return other ? [{ prompt: row.prompt, sample: row.sample, before: row, after: other }] : [];
  });
  if (pairs.length === 0) return { total: 0, rows: [] };
  const prompts = await readablePrompts(study);
  const scored = [await scoredBy(study, reference, study.reference), await scoredBy(study, policy, name)] as const;
  const rows = choose(pairs, study.options.maxResponses ?? mostRows, study.recipe.seed).map((pair) => ({
    ...prompts.get(pair.prompt)!,
    responses: [scored[0](pair.before), scored[1](pair.after)],
  }));
  return { total: pairs.length, rows };
}

/** At most so many rows: of as many prompts as there is room for, the first response of each, then the second. */
function choose<T extends { prompt: number; sample: number }>(rows: readonly T[], most: number, seed: number): T[] {
  const prompts = new Random(seed).shuffle([...new Set(rows.map(({ prompt }) => prompt))]).slice(0, most);
  const chosen = new Set(prompts);
  const perPrompt = Math.max(1, Math.floor(most / prompts.length));
  const taken = new Map<number, number>();
  return rows
    .filter(({ prompt }) => {
      const count = taken.get(prompt) ?? 0;
      taken.set(prompt, count + 1);
      return chosen.has(prompt) && count < perPrompt;
    })
    .sort((a, b) => a.sample - b.sample);
}

/** The first responses to the prompts that are hardest for the reference, and to some that the seed draws. */
async function ofMany(study: Study, policies: readonly { policy: string; name: string }[]): Promise<Found> {
  const { recipe, run } = study;
  const most = study.options.maxResponses ?? mostPrompts;
  const [{ name: first }] = recipe.safety;
  const held = (await run.prompts("held-out")).map(({ prompt }) => prompt);
  const hard = (await byMeanScore(study, first)).slice(0, Math.floor(most / 2));
  const rest = held.filter((prompt) => !hard.includes(prompt));
  const drawn = new Random(recipe.seed).shuffle(rest).slice(0, most - hard.length);
  const chosen = [...hard, ...drawn];
  const found = new Map<number, ScoredResponse[]>(chosen.map((prompt) => [prompt, []]));
  let total = 0;
  for (const { policy, name } of [{ policy: reference, name: "The reference" }, ...policies]) {
    const scored = await scoredBy(study, policy, name);
    const samples = await study.heldOutSamples(policy);
    total = samples.length;
    for (const row of samples) if (row.sample === 0) found.get(row.prompt)?.push(scored(row));
  }
  const prompts = await readablePrompts(study);
  const why = `Among the ${hard.length} on which the reference scores least in ${first}`;
  const rows = chosen.map((prompt, i) => ({
    ...prompts.get(prompt)!,
    chosen: i < hard.length ? why : "Drawn by the run’s seed",
    responses: found.get(prompt) ?? [],
  }));
  return { total, rows };
}

/** Held-out prompts, those first on which the reference's mean score is least. */
async function byMeanScore({ run }: Study, scorer: string): Promise<number[]> {
  const { prompt, columns } = await run.scoreTable(reference, "held-out", [scorer]);
  const sums = new Map<number, { sum: number; count: number }>();
  for (const [i, score] of columns[0].entries()) {
    const at = sums.get(prompt[i]) ?? { sum: 0, count: 0 };
    sums.set(prompt[i], { sum: at.sum + score, count: at.count + 1 });
  }
  const mean = (at: number) => sums.get(at)!.sum / sums.get(at)!.count;
  return [...sums.keys()].sort((a, b) => mean(a) - mean(b));
}

/** A policy's samples with their scores. */
async function scoredBy(study: Study, policy: string, name: string): Promise<(row: SampleRow) => ScoredResponse> {
  const scorers = study.scorers.map((scorer) => scorer.name);
  const found = new Map<string, (number | null)[]>();
  for (const [k, scorer] of scorers.entries()) {
    const { prompt, sample, columns } = await study.run.scoreTable(policy, "held-out", [scorer]);
    for (const [i, score] of columns[0].entries()) {
      const at = keyOf({ prompt: prompt[i], sample: sample[i] });
      const row = found.get(at) ?? scorers.map(() => null);
      row[k] = score;
      found.set(at, row);
    }
  }
  return (row) => ({
    name,
    response: row.response,
    scores: found.get(keyOf(row)) ?? scorers.map(() => null),
  });
}

/** The attempts of a run side by side: what each asked, and what came of it. */
import type { Verdict } from "../ports/rows.js";
import type { Attempt, RunStore, StageName } from "../ports/store.js";
import { differingKeys, type Recipe } from "../recipe/parse.js";
import { aligned } from "./context.js";

/** Gain over the reference as an attempt asked, predicted and measured it; null where that is not known. */
export interface AttemptGain {
  readonly name: string;
  readonly predicted: number | null;
  readonly measured: number | null;
  readonly interval: readonly [low: number, high: number] | null;
}

/** Attempt of a run with its figures. */
export interface AttemptFigures {
  readonly attempt: number;
  readonly label: string;
  /** ISO 8601. */
  readonly started: string;
  /** What differs from the attempt before, "beta: 0.1 → 0.2"; empty for the first. */
  readonly changed: readonly string[];
  /** Stages that it did itself, and seconds that they took; the others it took over. */
  readonly redone: readonly StageName[];
  readonly seconds: number;
  readonly beta: number;
  /** λ*, one for each constraint; null before it is solved. */
  readonly lambda: readonly number[] | null;
  readonly safety: readonly (AttemptGain & { readonly margin: number; readonly verdict: Verdict | null })[];
  readonly reward: AttemptGain;
}

/** Attempts of a run in order. Those of a comparison share its policies and are none of this kind: there are none. */
export async function attemptsOf(run: RunStore): Promise<AttemptFigures[]> {
  if (run.recipe.method === "compare") return [];
  const attempts = await run.attempts();
  const stages = await run.select("stages");
  const known = new Set<string>();
  const found: AttemptFigures[] = [];
  for (const [i, attempt] of attempts.entries()) {
    // A stage that was taken over has the time at which it was done.
    const own = stages.filter((row) => row.attempt === attempt.attempt && !known.has(stageKey(row)));
    for (const row of own) known.add(stageKey(row));
    own.sort((a, b) => a.finished.getTime() - b.finished.getTime());
    found.push({
      attempt: attempt.attempt,
      label: attempt.label,
      started: attempt.started.toISOString(),
      changed: i === 0 ? [] : changesOf(attempts[i - 1]!, attempt),
      redone: own.map(({ stage }) => stage),
      seconds: own.reduce((sum, { seconds }) => sum + seconds, 0),
      ...(await figuresOf(run.at(attempt))),
    });
  }
  return found;
}

const stageKey = ({ stage, finished }: { stage: StageName; finished: Date }) => `${stage} ${finished.getTime()}`;

async function figuresOf(run: RunStore): Promise<Pick<AttemptFigures, "beta" | "lambda" | "safety" | "reward">> {
  const { beta, reward, safety } = run.recipe;
  const solve = await run.solve(aligned);
  const rows = new Map((await run.evaluations(aligned)).map((row) => [row.scorer, row]));
  const gain = (name: string, predicted: number | undefined): AttemptGain => {
    const row = rows.get(name);
    return {
      name,
      predicted: predicted ?? null,
      measured: row?.measured ?? null,
      interval: row ? [row.low, row.high] : null,
    };
  };
  return {
    beta,
    lambda: solve?.lambda ?? null,
    safety: safety.map(({ name, margin }, j) => ({
      ...gain(name, solve?.safetyGain[j]),
      margin,
      verdict: rows.get(name)?.verdict ?? null,
    })),
    reward: gain(reward.name, solve?.rewardGain),
  };
}

/** Most characters of a value that are shown. */
const SHOWN = 40;

/** Keys whose values differ, with both values; or the parts whose content has changed in place. */
function changesOf(before: Attempt, after: Attempt): string[] {
  const [a, b] = [before.recipe as Recipe, after.recipe as Recipe];
  const keys = differingKeys(a, b);
  if (keys.length > 0) return keys.map((key) => `${key}: ${valueAt(a, key)} → ${valueAt(b, key)}`);
  const anew = Object.entries(after.rowNames).filter(
    ([name, row]) => before.rowNames[name] !== row && name !== aligned,
  );
  return anew.map(([name]) => `content of ${name}`);
}

function valueAt(recipe: Recipe, key: string): string {
  const value = key.split(".").reduce<unknown>((inner, part) => (inner as Record<string, unknown>)?.[part], recipe);
  if (value === undefined) return "none";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  // Of a path the end says which it is.
  return text.length > SHOWN ? `…${text.slice(1 - SHOWN)}` : text;
}

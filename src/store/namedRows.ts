/** What the stages ask of a run's rows, in terms of adding, replacing and selecting rows of any table. */
import type {
  CostRow,
  EvaluationRow,
  ExactRow,
  LogprobRow,
  MultiplierRow,
  PairRow,
  PredictionRow,
  PromptRow,
  SampleRow,
  ScoreRow,
  ScoreTable,
  ShareRow,
  SolveRow,
  Split,
  TrainingRow,
  VerdictRow,
  WinRateRow,
} from "../ports/rows.js";
import type { Attempt, NewAttempt, RunOrigin, RunStore, Selection, StageName, Where } from "../ports/store.js";
import type { RowOf, TableName } from "../ports/tables.js";
import type { TrainStep } from "../ports/trainer.js";
import type { Recipe } from "../recipe/parse.js";

/** Row of an attempt of that number, of a run in `folder`; its hash is of the recipe as the run keeps it. */
export async function attemptRow(
  attempt: number,
  { recipe, recipeText, label = String(attempt), rowNames = {} }: Omit<NewAttempt, "takenOver">,
  { folder, kept = (given) => given }: { folder: string; kept?: (recipe: Recipe) => Recipe },
): Promise<Attempt> {
  const text = JSON.stringify(recipe);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(kept(recipe))));
  const recipeSha256 = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { attempt, label, recipe: JSON.parse(text), recipeText, recipeSha256, rowNames, started: new Date(), folder };
}

/** Number of the attempt that a run would begin next; they count from 1. */
export const nextAttempt = async (run: Pick<RunStore, "attempts">): Promise<number> =>
  (await run.attempts()).length + 1;

/** Fields that hold names of policies, scorers and judges. */
const nameFields = ["policy", "scorer", "under", "judge"] as const;

function renamed<T extends object>(fields: T, name: (given: string) => string): T {
  const found = { ...fields } as Record<string, unknown>;
  for (const field of nameFields) if (typeof found[field] === "string") found[field] = name(found[field]);
  return found as T;
}

/** Run store over three primitives; a store may override what it can answer without reading whole rows. */
export abstract class NamedRows implements RunStore {
  abstract readonly path: string;
  abstract readonly origin: RunOrigin;
  abstract readonly attempt: Attempt;

  abstract add<Name extends TableName>(table: Name, rows: readonly RowOf<Name>[]): Promise<void>;
  abstract replace<Name extends TableName>(
    table: Name,
    where: Where<Name>,
    rows: readonly RowOf<Name>[],
  ): Promise<void>;
  abstract select<Name extends TableName>(table: Name, where?: Where<Name>, more?: Selection): Promise<RowOf<Name>[]>;
  abstract close(): Promise<void>;
  abstract at(attempt: Attempt): NamedRows;

  get recipe(): Recipe {
    return this.attempt.recipe as Recipe;
  }

  attempts(): Promise<Attempt[]> {
    return this.select("attempts");
  }

  rowName(name: string): string {
    return this.attempt.rowNames[name] ?? name;
  }

  /** Folder of the run, and the form in which it keeps a recipe. */
  protected places(): { folder: string; kept?: (recipe: Recipe) => Recipe } {
    return { folder: this.path };
  }

  /** Row or condition with the rows' names in the place of the recipe's. */
  protected toRows<T extends object>(fields: T): T {
    return renamed(fields, (name) => this.rowName(name));
  }

  /**
   * Rows of this attempt, under the recipe's names. Rows under a name that the attempt has another one for, or does not
   * know, are another attempt's, and left out unless the condition names them.
   */
  protected fromRows<T extends object>(rows: readonly T[], where: object = {}): T[] {
    const { rowNames } = this.attempt;
    const back = new Map(Object.entries(rowNames).map(([name, row]) => [row, name]));
    const asked = Object.values(where);
    // A strength's rows go by the name of its policy, 'aligned@2*1.5'.
    const others = (name: string) =>
      name in rowNames
        ? rowNames[name] !== name
        : name.includes("@") && !back.has(name.split("*")[0]!) && !asked.includes(name);
    const foreign = (row: T) =>
      nameFields.some((field) => {
        const value = (row as Record<string, unknown>)[field];
        return typeof value === "string" && others(value);
      });
    return rows.filter((row) => !foreign(row)).map((row) => renamed(row, (name) => back.get(name) ?? name));
  }

  async begin({ takenOver, ...given }: NewAttempt): Promise<this> {
    const attempt = await attemptRow(await nextAttempt(this), given, this.places());
    const done = await this.select("stages", { attempt: this.attempt.attempt });
    const kept = done.filter(({ stage }) => takenOver.includes(stage));
    // The row of the attempt comes last: after a kill before it, there is no such attempt.
    const number = attempt.attempt;
    await this.replace(
      "stages",
      { attempt: number },
      kept.map((row) => ({ ...row, attempt: number })),
    );
    await this.add("attempts", [attempt]);
    return this.at(attempt) as this;
  }

  private async first<Name extends TableName>(table: Name, where: Where<Name>): Promise<RowOf<Name> | undefined> {
    return (await this.select(table, where))[0];
  }

  async isDone(stage: StageName): Promise<boolean> {
    return (await this.first("stages", { attempt: this.attempt.attempt, stage })) !== undefined;
  }

  markDone(stage: StageName, seconds: number): Promise<void> {
    const { attempt } = this.attempt;
    return this.replace("stages", { attempt, stage }, [{ attempt, stage, seconds, finished: new Date() }]);
  }

  async stageSeconds(stage: StageName): Promise<number | undefined> {
    return (await this.first("stages", { attempt: this.attempt.attempt, stage }))?.seconds;
  }

  addPrompts(rows: readonly PromptRow[]): Promise<void> {
    return this.add(
      "prompts",
      rows.map(({ text, row: extra = null, category = null, ...row }) =>
        typeof text === "string"
          ? { ...row, category, text, messages: null, extra }
          : { ...row, category, text: null, messages: text, extra },
      ),
    );
  }

  async prompts(split?: Split): Promise<PromptRow[]> {
    const rows = await this.select("prompts", split === undefined ? {} : { split });
    return rows.map(({ text, messages, extra, category, ...row }) => ({
      ...row,
      ...(category !== null && { category }),
      text: text ?? [...messages!],
      ...(extra && { row: extra }),
    }));
  }

  addSamples(rows: readonly SampleRow[]): Promise<void> {
    return this.add("samples", rows);
  }

  samples(policy: string, split: Split): Promise<SampleRow[]> {
    return this.select("samples", { policy }, { split });
  }

  async sampleKeys(policy: string, split: Split): Promise<{ prompt: number; sample: number }[]> {
    return (await this.samples(policy, split)).map(({ prompt, sample }) => ({ prompt, sample }));
  }

  async sampledTokens(policy: string, split: Split): Promise<number> {
    const rows = await this.samples(policy, split);
    return rows.reduce(
      (sum, { responseIds, finishReason }) => sum + responseIds.length + Number(finishReason === "stop"),
      0,
    );
  }

  addScores(rows: readonly ScoreRow[]): Promise<void> {
    return this.add("scores", rows);
  }

  unscored(policy: string, split: Split, scorer: string): Promise<SampleRow[]> {
    return this.select("samples", { policy }, { split, without: { table: "scores", where: { scorer } } });
  }

  async scoreTable(policy: string, split: Split, scorers: readonly string[]): Promise<ScoreTable> {
    const key = ({ prompt, sample }: { prompt: number; sample: number }) => `${prompt}/${sample}`;
    const scores: Map<string, number>[] = [];
    for (const scorer of scorers)
      scores.push(
        new Map((await this.select("scores", { policy, scorer }, { split })).map((row) => [key(row), row.score])),
      );
    const keys = (await this.sampleKeys(policy, split)).filter((row) => scores.every((of) => of.has(key(row))));
    return {
      prompt: Int32Array.from(keys, ({ prompt }) => prompt),
      sample: Int32Array.from(keys, ({ sample }) => sample),
      columns: scores.map((of) => Float64Array.from(keys, (row) => of.get(key(row))!)),
    };
  }

  addLogprobs(rows: readonly LogprobRow[]): Promise<void> {
    return this.add("logprobs", rows);
  }

  withoutLogprob(policy: string, split: Split, under: string): Promise<SampleRow[]> {
    return this.select("samples", { policy }, { split, without: { table: "logprobs", where: { under } } });
  }

  logprobs(policy: string, split: Split, under: string): Promise<LogprobRow[]> {
    return this.select("logprobs", { policy, under }, { split });
  }

  setPairs(policy: string, rows: readonly PairRow[]): Promise<void> {
    return this.replace("pairs", { policy }, rows);
  }

  pairs(policy: string): Promise<PairRow[]> {
    return this.select("pairs", { policy });
  }

  setSolve(row: SolveRow): Promise<void> {
    return this.replace("solves", { policy: row.policy }, [row]);
  }

  solve(policy: string): Promise<SolveRow | undefined> {
    return this.first("solves", { policy });
  }

  setPrediction(row: PredictionRow): Promise<void> {
    return this.replace("predictions", { policy: row.policy }, [row]);
  }

  prediction(policy: string): Promise<PredictionRow | undefined> {
    return this.first("predictions", { policy });
  }

  addTrainSteps(policy: string, steps: readonly TrainStep[]): Promise<void> {
    // A training that goes on from a checkpoint does its last steps again: the later row stands.
    const since = Math.min(...steps.map(({ step }) => step));
    return this.replace(
      "trainingSteps",
      { policy, step: { atLeast: since } },
      steps.map(({ step, steps, loss, learning_rate, grad_norm, ...metrics }) => ({
        ...{ policy, step, steps, loss, learning_rate, grad_norm },
        metrics: metrics as Record<string, number>,
      })),
    );
  }

  async trainSteps(policy: string): Promise<TrainStep[]> {
    const rows = await this.select("trainingSteps", { policy });
    return rows.map(({ policy: _, metrics, ...row }) => ({ ...row, ...metrics }));
  }

  setTraining(row: TrainingRow): Promise<void> {
    return this.replace("trainings", { policy: row.policy }, [row]);
  }

  training(policy: string): Promise<TrainingRow | undefined> {
    return this.first("trainings", { policy });
  }

  async setEvaluations(policy: string, rows: readonly EvaluationRow[]): Promise<void> {
    // Another attempt may have measured the same policy by other scorers: its rows stay.
    for (const { scorer } of await this.evaluations(policy)) await this.replace("evaluations", { policy, scorer }, []);
    await this.add("evaluations", rows);
  }

  evaluations(policy: string): Promise<EvaluationRow[]> {
    return this.select("evaluations", { policy });
  }

  async setShares(policy: string, rows: readonly ShareRow[]): Promise<void> {
    for (const { scorer } of await this.shares(policy)) await this.replace("shares", { policy, scorer }, []);
    await this.add("shares", rows);
  }

  shares(policy: string): Promise<ShareRow[]> {
    return this.select("shares", { policy });
  }

  addVerdicts(rows: readonly VerdictRow[]): Promise<void> {
    return this.add("verdicts", rows);
  }

  verdicts(judge: string, policy: string): Promise<VerdictRow[]> {
    return this.select("verdicts", { judge, policy });
  }

  async setWinRates(policy: string, rows: readonly WinRateRow[]): Promise<void> {
    for (const { judge } of await this.winRates(policy)) await this.replace("winRates", { policy, judge }, []);
    await this.add("winRates", rows);
  }

  winRates(policy: string): Promise<WinRateRow[]> {
    return this.select("winRates", { policy });
  }

  setExact(rows: readonly ExactRow[]): Promise<void> {
    return this.replace("exact", {}, rows);
  }

  exact(): Promise<ExactRow[]> {
    return this.select("exact");
  }

  async addCost(row: CostRow): Promise<void> {
    const { policy, activity } = row;
    const known = await this.first("costs", { policy, activity });
    const peaks = [known?.peakMemoryBytes, row.peakMemoryBytes].filter((bytes) => bytes != null);
    await this.replace("costs", { policy, activity }, [
      {
        policy,
        activity,
        seconds: (known?.seconds ?? 0) + row.seconds,
        flopsPerToken: row.flopsPerToken ?? known?.flopsPerToken ?? null,
        peakMemoryBytes: peaks.length > 0 ? Math.max(...peaks) : null,
      },
    ]);
  }

  costs(): Promise<CostRow[]> {
    return this.select("costs");
  }

  setMultiplier(row: MultiplierRow): Promise<void> {
    return this.replace("multipliers", { policy: row.policy, iteration: row.iteration }, [row]);
  }

  multipliers(policy: string): Promise<MultiplierRow[]> {
    return this.select("multipliers", { policy });
  }
}

/** A run on disk: a folder with one DuckDB database, `run.duckdb`, and what the training leaves beside it. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  DOUBLE,
  type DuckDBAppender,
  type DuckDBConnection,
  DuckDBInstance,
  DuckDBTimestampValue,
  type DuckDBValue,
  INTEGER,
  LIST,
} from "@duckdb/node-api";
import { InputError } from "../errors.js";
import type {
  CostRow,
  EvaluationRow,
  ExactRow,
  LogprobRow,
  MultiplierRow,
  PairRow,
  PromptRow,
  SampleRow,
  ScoreRow,
  ScoreTable,
  SolveRow,
  Split,
  TrainingRow,
  VerdictRow,
  WinRateRow,
} from "../ports/rows.js";
import type { RunOrigin, RunStore, StageName } from "../ports/store.js";
import type { TrainStep } from "../ports/trainer.js";
import { differingKeys, type Recipe } from "../recipe/parse.js";
import { type ColumnType, createStatements, schemaVersion, type TableName, tables } from "./tables.js";

const databaseName = "run.duckdb";

export interface NewRun {
  recipe: Recipe;
  /** The recipe file as the user wrote it. */
  recipeText: string;
  /** Of dualign, Node and what else makes a figure reproducible. */
  versions: Record<string, string>;
}

/**
 * Opens the run in a folder, or starts it there. Until a run is solved, its margins and what follows from them may change:
 * a margin out of reach need not cost the samples and scores that told so.
 * @throws InputError if the folder's run was started from another recipe (names the keys that differ), if another
 * process has it open, or if it was written by another version of dualign's schema.
 */
export async function startRun(folder: string, run: NewRun): Promise<RunFolder> {
  const path = resolve(folder);
  mkdirSync(path, { recursive: true });
  const { instance, connection } = await connect(path);
  try {
    if (!(await isRun(connection))) await create(connection, run);
    const store = await RunFolder.read(path, instance, connection);
    const differing = differingKeys(store.recipe, plain(run.recipe));
    if (differing.length === 0) return store;
    if (differing.every(isOpenUntilSolved) && !(await isSolved(connection))) {
      await inTransaction(connection, async () => {
        await connection.run("DELETE FROM meta WHERE name IN ('recipe', 'recipe_sha256', 'recipe_text')");
        await append(connection, "meta", recipeEntries(run));
      });
      return await RunFolder.read(path, instance, connection);
    }
    throw new InputError(
      `the run in ${path} was started from another recipe (${differing.slice(0, 6).join(", ")}${differing.length > 6 ? ", …" : ""} differ${differing.length === 1 ? "s" : ""}): ` +
        `give --run another folder, or go on with the old recipe by 'dualign resume ${folder}'`,
    );
  } catch (error) {
    release(instance, connection);
    throw storageError(error, path);
  }
}

/**
 * Opens the run in a folder.
 * @throws InputError if there is none, another process has it open, or it has another version's schema.
 */
export async function openRun(folder: string): Promise<RunFolder> {
  const path = resolve(folder);
  if (!existsSync(join(path, databaseName)))
    throw new InputError(`no run in ${path}: start one with 'dualign mocan recipe.yaml --run ${folder}'`);
  const { instance, connection } = await connect(path);
  try {
    if (!(await isRun(connection))) throw new InputError(`${join(path, databaseName)} is not a dualign run`);
    return await RunFolder.read(path, instance, connection);
  } catch (error) {
    release(instance, connection);
    throw storageError(error, path);
  }
}

async function connect(path: string) {
  try {
    const instance = await DuckDBInstance.create(join(path, databaseName), { threads: "2" });
    return { instance, connection: await instance.connect() };
  } catch (error) {
    throw storageError(error, path);
  }
}

function release(instance: DuckDBInstance, connection: DuckDBConnection) {
  connection.closeSync();
  instance.closeSync();
}

async function isRun(connection: DuckDBConnection): Promise<boolean> {
  const found = await connection.runAndReadAll("SELECT table_name FROM duckdb_tables()");
  const names = found.getColumnsJS()[0] ?? [];
  if (names.length > 0 && !names.includes("meta"))
    throw new InputError(`${databaseName} holds other tables: it is not a dualign run`);
  return names.length > 0;
}

/** What neither samples nor scores depend on. */
const isOpenUntilSolved = (key: string) => /^(beta|safety\.\d+\.margin|pairs\..+|train\..+)$/.test(key);

/** PeCAN and comparisons train before they solve. */
async function isSolved(connection: DuckDBConnection): Promise<boolean> {
  const found = await connection.runAndReadAll(
    "SELECT 1 FROM solves UNION ALL SELECT 1 FROM pairs UNION ALL SELECT 1 FROM training_steps LIMIT 1",
  );
  return found.currentRowCount > 0;
}

function recipeEntries({ recipe, recipeText }: NewRun) {
  const value = JSON.stringify(recipe);
  return [
    { name: "recipe", value },
    { name: "recipe_sha256", value: createHash("sha256").update(value).digest("hex") },
    { name: "recipe_text", value: recipeText },
  ];
}

async function create(connection: DuckDBConnection, run: NewRun) {
  await inTransaction(connection, async () => {
    for (const statement of createStatements()) await connection.run(statement);
    await append(connection, "meta", [
      { name: "schema", value: schemaVersion },
      ...recipeEntries(run),
      { name: "versions", value: JSON.stringify(run.versions) },
      { name: "seed", value: String(run.recipe.seed) },
      { name: "started", value: new Date().toISOString() },
    ]);
  });
}

/** Makes DuckDB's errors into the user's: another process, a full disk. Others pass as they are. */
export function storageError(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || error instanceof InputError) return error;
  if (/could not set lock|conflicting lock|being used by another process/i.test(error.message)) {
    const holder = /\(PID (\d+)\)/.exec(error.message)?.[1];
    return new InputError(
      `the run in ${path} is in use by another process${holder ? ` (${holder})` : ""}: wait for it to end, or stop it`,
    );
  }
  if (/not a valid DuckDB database/i.test(error.message))
    return new InputError(`${join(path, databaseName)} is not a dualign run: it is no DuckDB database`);
  if (/no space left|not enough space|disk (is )?full|ENOSPC|EDQUOT|quota exceeded/i.test(error.message))
    return new InputError(
      `the disk of ${path} is full: make room, then go on with 'dualign resume ${path}' (rows written so far are kept)`,
    );
  return error;
}

type Row = Readonly<Record<string, unknown>>;

async function inTransaction(connection: DuckDBConnection, action: () => Promise<void>): Promise<void> {
  await connection.run("BEGIN TRANSACTION");
  try {
    await action();
    await connection.run("COMMIT");
  } catch (error) {
    // After a failed commit there is nothing left to roll back, and the first error is the one to tell.
    await connection.run("ROLLBACK").catch(() => {});
    throw error;
  }
}

async function append(connection: DuckDBConnection, table: TableName, rows: readonly Row[]): Promise<void> {
  const appender = await connection.createAppender(table);
  const columns = Object.entries(tables[table].columns as Record<string, readonly [ColumnType, string]>);
  for (const row of rows) {
    for (const [name, [type]] of columns) appendValue(appender, type, row[name]);
    appender.endRow();
  }
  appender.closeSync();
}

function appendValue(appender: DuckDBAppender, type: ColumnType, value: unknown) {
  if (value === null || value === undefined) return appender.appendNull();
  switch (type) {
    case "VARCHAR":
    case "JSON":
      return appender.appendVarchar(value as string);
    case "INTEGER":
      return appender.appendInteger(value as number);
    case "BOOLEAN":
      return appender.appendBoolean(value as boolean);
    case "DOUBLE":
      return appender.appendDouble(value as number);
    case "INTEGER[]":
      return appender.appendList(value as number[], LIST(INTEGER));
    case "DOUBLE[]":
      return appender.appendList(value as number[], LIST(DOUBLE));
    case "TIMESTAMP":
      return appender.appendTimestamp(new DuckDBTimestampValue(BigInt((value as Date).getTime()) * 1000n));
  }
}

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

export class RunFolder implements RunStore {
  private constructor(
    readonly path: string,
    readonly recipe: Recipe,
    /** Of the `meta` table. */
    readonly meta: Readonly<Record<string, string>>,
    private readonly instance: DuckDBInstance,
    private readonly connection: DuckDBConnection,
  ) {}

  static async read(path: string, instance: DuckDBInstance, connection: DuckDBConnection): Promise<RunFolder> {
    const rows = (await connection.runAndReadAll("SELECT name, value FROM meta")).getRowsJS() as [string, string][];
    const meta = Object.fromEntries(rows);
    if (meta.schema !== schemaVersion)
      throw new InputError(
        `the run in ${path} was written by another version of dualign (schema ${meta.schema}, this one has ${schemaVersion}): start a new run`,
      );
    return new RunFolder(path, JSON.parse(meta.recipe), meta, instance, connection);
  }

  get origin(): RunOrigin {
    const { recipe_text, recipe_sha256, versions, started } = this.meta;
    return { recipeText: recipe_text, recipeSha256: recipe_sha256, versions: JSON.parse(versions), started };
  }

  /** Rows of any query, for reading. */
  async query(sql: string, ...parameters: DuckDBValue[]): Promise<Record<string, unknown>[]> {
    return this.guard(async () => (await this.connection.runAndReadAll(sql, parameters)).getRowObjectsJS());
  }

  async isDone(stage: StageName): Promise<boolean> {
    return (await this.query("SELECT 1 FROM stages WHERE stage = $1", stage)).length > 0;
  }

  async markDone(stage: StageName, seconds: number): Promise<void> {
    await this.replace("stages", "stage = $1", [stage], [{ stage, seconds, finished: new Date() }]);
    // The log goes into the database file: one file holds the run whenever a stage is done.
    await this.guard(() => this.connection.run("CHECKPOINT"));
  }

  async stageSeconds(stage: StageName): Promise<number | undefined> {
    return (await this.query("SELECT seconds FROM stages WHERE stage = $1", stage))[0]?.seconds as number | undefined;
  }

  addPrompts(rows: readonly PromptRow[]): Promise<void> {
    return this.add(
      "prompts",
      rows.map(({ prompt, split, text }) =>
        typeof text === "string" ? { prompt, split, text } : { prompt, split, messages: JSON.stringify(text) },
      ),
    );
  }

  async prompts(split?: Split): Promise<PromptRow[]> {
    const rows = await this.query(
      "SELECT prompt, split, text, messages FROM prompts WHERE $1 IS NULL OR split = $1 ORDER BY prompt",
      split ?? null,
    );
    return rows.map(({ prompt, split, text, messages }) => ({
      prompt: prompt as number,
      split: split as Split,
      text: messages === null ? (text as string) : JSON.parse(messages as string),
    }));
  }

  addSamples(rows: readonly SampleRow[]): Promise<void> {
    return this.add(
      "samples",
      rows.map(({ responseIds, finishReason, ...row }) => ({
        ...row,
        response_ids: responseIds,
        finish_reason: finishReason,
      })),
    );
  }

  async samples(policy: string, split: Split): Promise<SampleRow[]> {
    return (await this.query(`${selectSamples} ORDER BY prompt, sample`, policy, split)) as unknown as SampleRow[];
  }

  async sampleKeys(policy: string, split: Split): Promise<{ prompt: number; sample: number }[]> {
    return (await this.query(
      "SELECT prompt, sample FROM samples JOIN prompts USING (prompt) WHERE policy = $1 AND split = $2",
      policy,
      split,
    )) as { prompt: number; sample: number }[];
  }

  async sampledTokens(policy: string, split: Split): Promise<number> {
    const [{ tokens }] = await this.query(
      `SELECT coalesce(sum(len(response_ids) + (finish_reason = 'stop')::INTEGER), 0)::DOUBLE AS tokens
       FROM samples JOIN prompts USING (prompt) WHERE policy = $1 AND split = $2`,
      policy,
      split,
    );
    return tokens as number;
  }

  addScores(rows: readonly ScoreRow[]): Promise<void> {
    return this.add("scores", rows);
  }

  async unscored(policy: string, split: Split, scorer: string): Promise<SampleRow[]> {
    return (await this.query(
      `${selectSamples} AND NOT EXISTS (SELECT 1 FROM scores o WHERE o.policy = s.policy AND o.prompt = s.prompt
         AND o.sample = s.sample AND o.scorer = $3) ORDER BY prompt, sample`,
      policy,
      split,
      scorer,
    )) as unknown as SampleRow[];
  }

  async scoreTable(policy: string, split: Split, scorers: readonly string[]): Promise<ScoreTable> {
    const joins = scorers.map(
      (_, i) => `JOIN scores c${i} ON c${i}.policy = s.policy AND c${i}.prompt = s.prompt
        AND c${i}.sample = s.sample AND c${i}.scorer = $${i + 3}`,
    );
    const columns = await this.guard(async () =>
      (
        await this.connection.runAndReadAll(
          `SELECT s.prompt, s.sample${scorers.map((_, i) => `, c${i}.score`).join("")}
           FROM samples s JOIN prompts p USING (prompt) ${joins.join(" ")}
           WHERE s.policy = $1 AND p.split = $2 ORDER BY s.prompt, s.sample`,
          [policy, split, ...scorers],
        )
      ).getColumnsJS(),
    );
    const column = (i: number) => (columns[i] ?? []) as number[];
    return {
      prompt: Int32Array.from(column(0)),
      sample: Int32Array.from(column(1)),
      columns: scorers.map((_, i) => Float64Array.from(column(i + 2))),
    };
  }

  addLogprobs(rows: readonly LogprobRow[]): Promise<void> {
    return this.add("logprobs", rows);
  }

  async unweighed(policy: string, split: Split, under: string): Promise<SampleRow[]> {
    return (await this.query(
      `${selectSamples} AND NOT EXISTS (SELECT 1 FROM logprobs o WHERE o.policy = s.policy AND o.prompt = s.prompt
         AND o.sample = s.sample AND o.under = $3) ORDER BY prompt, sample`,
      policy,
      split,
      under,
    )) as unknown as SampleRow[];
  }

  async logprobs(policy: string, split: Split, under: string): Promise<LogprobRow[]> {
    return (await this.query(
      `SELECT logprobs.* FROM logprobs JOIN prompts USING (prompt)
       WHERE policy = $1 AND split = $2 AND under = $3 ORDER BY prompt, sample`,
      policy,
      split,
      under,
    )) as unknown as LogprobRow[];
  }

  setPairs(policy: string, rows: readonly PairRow[]): Promise<void> {
    return this.replace("pairs", "policy = $1", [policy], rows);
  }

  async pairs(policy: string): Promise<PairRow[]> {
    return (await this.query("SELECT * FROM pairs WHERE policy = $1 ORDER BY pair", policy)) as unknown as PairRow[];
  }

  setSolve(row: SolveRow): Promise<void> {
    const { lambda, maxMargin, rewardGain, safetyGain, essMean, essMin, klTerms, ...rest } = row;
    return this.replace(
      "solves",
      "policy = $1",
      [row.policy],
      [
        {
          ...rest,
          multipliers: lambda,
          max_margin: maxMargin,
          reward_gain: rewardGain,
          safety_gain: safetyGain,
          ess_mean: essMean,
          ess_min: essMin,
          kl_terms: klTerms,
        },
      ],
    );
  }

  async solve(policy: string): Promise<SolveRow | undefined> {
    const [row] = await this.query(
      `SELECT policy, beta, margins, multipliers AS "lambda", dual, kkt, max_margin AS "maxMargin", reward_gain AS "rewardGain",
         safety_gain AS "safetyGain", kl, ess_mean AS "essMean", ess_min AS "essMin", kl_terms AS "klTerms"
       FROM solves WHERE policy = $1`,
      policy,
    );
    return row as unknown as SolveRow | undefined;
  }

  addTrainSteps(policy: string, steps: readonly TrainStep[]): Promise<void> {
    // A training that goes on from a checkpoint does its last steps again: the later row stands.
    return this.replace(
      "training_steps",
      "policy = $1 AND step >= $2",
      [policy, Math.min(...steps.map(({ step }) => step))],
      steps.map(({ step, steps, loss, learning_rate, grad_norm, ...metrics }) => ({
        policy,
        step,
        steps,
        loss,
        learning_rate,
        grad_norm,
        metrics: JSON.stringify(metrics),
      })),
    );
  }

  async trainSteps(policy: string): Promise<TrainStep[]> {
    const rows = await this.query("SELECT * FROM training_steps WHERE policy = $1 ORDER BY step", policy);
    return rows.map(({ policy: _, metrics, ...row }) => ({ ...row, ...JSON.parse(metrics as string) }) as TrainStep);
  }

  setTraining(row: TrainingRow): Promise<void> {
    return this.replace("trainings", "policy = $1", [row.policy], [{ ...row }]);
  }

  async training(policy: string): Promise<TrainingRow | undefined> {
    return (await this.query("SELECT * FROM trainings WHERE policy = $1", policy))[0] as unknown as
      | TrainingRow
      | undefined;
  }

  setEvaluations(policy: string, rows: readonly EvaluationRow[]): Promise<void> {
    return this.replace("evaluations", "policy = $1", [policy], rows);
  }

  async evaluations(policy: string): Promise<EvaluationRow[]> {
    return (await this.query(
      "SELECT * FROM evaluations WHERE policy = $1 ORDER BY rowid",
      policy,
    )) as unknown as EvaluationRow[];
  }

  addVerdicts(rows: readonly VerdictRow[]): Promise<void> {
    return this.add(
      "verdicts",
      rows.map(({ policyFirst, ...row }) => ({ ...row, policy_first: policyFirst })),
    );
  }

  async verdicts(judge: string, policy: string): Promise<VerdictRow[]> {
    return (await this.query(
      `SELECT judge, policy, prompt, sample, policy_first AS "policyFirst", preference, answer FROM verdicts
       WHERE judge = $1 AND policy = $2 ORDER BY prompt, sample, policy_first`,
      judge,
      policy,
    )) as unknown as VerdictRow[];
  }

  setWinRates(policy: string, rows: readonly WinRateRow[]): Promise<void> {
    return this.replace("win_rates", "policy = $1", [policy], rows);
  }

  async winRates(policy: string): Promise<WinRateRow[]> {
    return (await this.query(
      "SELECT * FROM win_rates WHERE policy = $1 ORDER BY rowid",
      policy,
    )) as unknown as WinRateRow[];
  }

  setExact(rows: readonly ExactRow[]): Promise<void> {
    return this.replace(
      "exact",
      "true",
      [],
      rows.map(({ policy, problem, lambda, klToOptimum, klToOwn, kl, violation, objectiveGap, ...row }) => ({
        policy,
        problem,
        multipliers: lambda,
        kl_to_optimum: klToOptimum,
        kl_to_own: klToOwn,
        kl,
        reward_gain: row.rewardGain,
        safety_gain: row.safetyGain,
        violation,
        own_violation: row.ownViolation,
        predicted_violation: row.predictedViolation,
        objective_gap: objectiveGap,
      })),
    );
  }

  async exact(): Promise<ExactRow[]> {
    return (await this.query(
      `SELECT policy, problem, multipliers AS "lambda", kl_to_optimum AS "klToOptimum", kl_to_own AS "klToOwn", kl,
         reward_gain AS "rewardGain", safety_gain AS "safetyGain", violation, own_violation AS "ownViolation",
         predicted_violation AS "predictedViolation", objective_gap AS "objectiveGap"
       FROM exact ORDER BY rowid`,
    )) as unknown as ExactRow[];
  }

  async addCost({ policy, activity, seconds, flopsPerToken, peakMemoryBytes }: CostRow): Promise<void> {
    await this.guard(() =>
      this.connection.run(
        `INSERT INTO costs VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO UPDATE SET seconds = seconds + excluded.seconds,
           flops_per_token = coalesce(excluded.flops_per_token, flops_per_token),
           peak_memory_bytes = greatest(peak_memory_bytes, excluded.peak_memory_bytes)`,
        [policy, activity, seconds, flopsPerToken, peakMemoryBytes],
      ),
    );
  }

  async costs(): Promise<CostRow[]> {
    return (await this.query(
      `SELECT policy, activity, seconds, flops_per_token AS "flopsPerToken", peak_memory_bytes AS "peakMemoryBytes"
       FROM costs ORDER BY policy, activity`,
    )) as unknown as CostRow[];
  }

  setMultiplier({ lambda, tokensSampled, tokensTrained, ...row }: MultiplierRow): Promise<void> {
    return this.replace(
      "multipliers",
      "policy = $1 AND iteration = $2",
      [row.policy, row.iteration],
      [{ ...row, multipliers: lambda, tokens_sampled: tokensSampled, tokens_trained: tokensTrained }],
    );
  }

  async multipliers(policy: string): Promise<MultiplierRow[]> {
    return (await this.query(
      `SELECT policy, iteration, multipliers AS "lambda", gain, tokens_sampled AS "tokensSampled",
         tokens_trained AS "tokensTrained", flops FROM multipliers WHERE policy = $1 ORDER BY iteration`,
      policy,
    )) as unknown as MultiplierRow[];
  }

  async close(): Promise<void> {
    release(this.instance, this.connection);
  }

  private add(table: TableName, rows: readonly object[]): Promise<void> {
    if (rows.length === 0) return Promise.resolve();
    return this.guard(() =>
      inTransaction(this.connection, () => append(this.connection, table, rows as readonly Row[])),
    );
  }

  private replace(table: TableName, where: string, parameters: DuckDBValue[], rows: readonly object[]): Promise<void> {
    return this.guard(() =>
      inTransaction(this.connection, async () => {
        await this.connection.run(`DELETE FROM ${table} WHERE ${where}`, parameters);
        await append(this.connection, table, rows as readonly Row[]);
      }),
    );
  }

  private async guard<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw storageError(error, this.path);
    }
  }
}

const selectSamples = `SELECT s.policy, s.prompt, s.sample, s.response, s.response_ids AS "responseIds", s.logprob,
    s.finish_reason AS "finishReason"
  FROM samples s JOIN prompts p USING (prompt) WHERE s.policy = $1 AND p.split = $2`;

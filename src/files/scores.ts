/** Files of scored samples for the dual: JSON lines (plain or gzipped), CSV, Parquet. */
import { createReadStream, existsSync, statSync } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import type { ScoreStream } from "../dual/passes.js";
import type { Scores } from "../dual/scores.js";
import { InputError } from "../errors.js";
import { ScoreLine } from "./scoreLines.js";
import { ScoreSpool } from "./scoreSpool.js";

/** Scores in memory where they fit, otherwise in a temporary file that `close` deletes. */
export type OpenScores = { readonly scores: Scores } | { readonly stream: ScoreStream & { close(): Promise<void> } };

export interface ReadOptions {
  /**
   * Set for rows of log-probabilities (`ref` beside `reward` and `safety`): they become PeCAN's implicit scores
   * β ln π/π_ref.
   */
  readonly logProbsBeta?: number;
  /** Samples kept in memory at most. */
  readonly memoryLimit?: number;
}

/** Four million samples with one safety score are 64 MB. */
const defaultMemoryLimit = 2 ** 22;
/** Samples per block of a spool file. */
const blockSamples = 2 ** 20;

/**
 * Reads rows `{"prompt_id", "reward", "safety": […]}`. In CSV and Parquet `safety` is a list, or there are columns
 * `safety_1`, `safety_2`, …
 * @throws InputError that names the file and the row.
 */
export async function readScores(file: string, options: ReadOptions = {}): Promise<OpenScores> {
  if (!existsSync(file)) throw new InputError(`${file}: no such file`);
  if (statSync(file).isDirectory()) throw new InputError(`${file}: is a folder; give a file of scores or a run folder`);
  const collector = new Collector(file, options);
  try {
    if (/\.(csv|tsv|parquet|pq)(\.gz)?$/i.test(file)) await readTable(file, collector);
    else await readLines(file, collector);
    return collector.finish();
  } catch (error) {
    collector.discard();
    throw error;
  }
}

/** Takes rows one by one and puts those of a prompt together. */
class Collector {
  readonly needsRef: boolean;
  private readonly beta: number;
  private readonly memoryLimit: number;
  private constraints = 0;
  private count = 0;
  private prompt = new Uint32Array(1024);
  private reward = new Float64Array(1024);
  private safety: Float64Array[] = [];
  private readonly prompts = new Map<string, number>();
  private lastId: string | undefined;
  private lastPrompt = -1;
  private together = true;
  private spool: ScoreSpool | undefined;

  constructor(
    readonly file: string,
    { logProbsBeta, memoryLimit = defaultMemoryLimit }: ReadOptions,
  ) {
    this.needsRef = logProbsBeta !== undefined;
    this.beta = logProbsBeta ?? 1;
    this.memoryLimit = memoryLimit;
  }

  add(id: string, ref: number, reward: number, safety: ArrayLike<number>, where: () => string): void {
    if (id !== this.lastId) this.startPrompt(id, where);
    if (safety.length !== this.constraints || this.constraints === 0) this.checkConstraints(safety.length, where);
    if (Number.isNaN(reward)) throw new InputError(`${where()}: "reward" is missing`);
    if (this.needsRef && Number.isNaN(ref)) throw new InputError(`${where()}: "ref" is missing`);
    if (this.count === this.reward.length) this.grow();
    const i = this.count++;
    this.prompt[i] = this.lastPrompt;
    if (this.needsRef) {
      this.reward[i] = this.beta * (reward - ref);
      for (let j = 0; j < safety.length; j++) this.safety[j][i] = this.beta * (safety[j] - ref);
    } else {
      this.reward[i] = reward;
      for (let j = 0; j < safety.length; j++) this.safety[j][i] = safety[j];
    }
  }

  finish(): OpenScores {
    if (this.count === 0 && !this.spool) throw new InputError(`${this.file}: holds no rows`);
    if (this.spool) {
      this.writeBlock(this.count);
      const { spool } = this;
      this.spool = undefined;
      return { stream: spool.finish(this.constraints) };
    }
    return { scores: this.take(this.count, 0) };
  }

  discard(): void {
    this.spool?.discard();
  }

  private startPrompt(id: string, where: () => string): void {
    if (this.count >= this.memoryLimit || (this.spool && this.count >= blockSamples)) this.spill(where);
    const known = this.prompts.get(id);
    if (known === undefined) {
      this.lastPrompt = this.prompts.size;
      this.prompts.set(id, this.lastPrompt);
    } else {
      this.together = false;
      this.lastPrompt = known;
      if (this.spool) this.refuseApart(id, where);
    }
    this.lastId = id;
  }

  private refuseApart(id: string, where: () => string): never {
    throw new InputError(
      `${where()}: rows of prompt ${id} stand apart; in a file larger than memory they must stand together: sort it by prompt_id`,
    );
  }

  private checkConstraints(given: number, where: () => string): void {
    if (given === 0) throw new InputError(`${where()}: "safety" is missing or empty: give one number or more`);
    if (this.constraints > 0) {
      throw new InputError(`${where()}: ${given} safety scores, but the rows before have ${this.constraints}`);
    }
    this.constraints = given;
    this.safety = Array.from({ length: given }, () => new Float64Array(this.reward.length));
  }

  private grow(): void {
    const size = this.reward.length * 2;
    const larger = (values: Float64Array) => {
      const copy = new Float64Array(size);
      copy.set(values);
      return copy;
    };
    const prompt = new Uint32Array(size);
    prompt.set(this.prompt);
    this.prompt = prompt;
    this.reward = larger(this.reward);
    this.safety = this.safety.map(larger);
  }

  /** Called between two prompts: all rows at hand are of whole prompts. */
  private spill(where: () => string): void {
    if (!this.together) this.refuseApart(this.lastId!, where);
    this.spool ??= new ScoreSpool();
    this.writeBlock(this.count);
  }

  private writeBlock(count: number): void {
    if (count === 0) return;
    this.spool!.write(this.take(count, this.prompt[0]));
    this.count = 0;
  }

  /** The first rows as scores, grouped by prompt in the order in which the prompts appear. */
  private take(count: number, firstPrompt: number): Scores {
    const prompts = this.prompt.subarray(0, count).reduce((most, p) => Math.max(most, p), 0) + 1 - firstPrompt;
    const offsets = new Uint32Array(prompts + 1);
    for (let i = 0; i < count; i++) offsets[this.prompt[i] - firstPrompt + 1]++;
    offsets.forEach((size, x) => {
      if (x > 0 && size < 2) {
        const id = [...this.prompts.keys()][firstPrompt + x - 1];
        throw new InputError(`${this.file}: prompt ${id} has one response: the dual needs at least two per prompt`);
      }
    });
    for (let x = 0; x < prompts; x++) offsets[x + 1] += offsets[x];
    const all = [this.reward, ...this.safety];
    if (this.together) {
      const [reward, ...safety] = all.map((values) => values.slice(0, count));
      return { reward, safety, offsets };
    }
    const next = offsets.slice();
    const place = Uint32Array.from({ length: count }, (_, i) => next[this.prompt[i]]++);
    const [reward, ...safety] = all.map((values) => {
      const grouped = new Float64Array(count);
      for (let i = 0; i < count; i++) grouped[place[i]] = values[i];
      return grouped;
    });
    return { reward, safety, offsets };
  }
}

async function readLines(file: string, collector: Collector): Promise<void> {
  const raw = createReadStream(file, { highWaterMark: 1 << 22 });
  const bytes = file.endsWith(".gz") ? pipeline(raw, createGunzip(), () => {}) : raw;
  const row = new ScoreLine();
  let number = 0;
  const where = () => `${file}:${number}`;
  const line = (buffer: Buffer, start: number, end: number) => {
    number++;
    if (isBlank(buffer, start, end)) return;
    row.parse(buffer, start, end, where);
    collector.add(row.id, row.ref, row.reward, row.safety, where);
  };
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    let start = 0;
    if (rest.length > 0) {
      const end = chunk.indexOf(10);
      if (end < 0) {
        rest = Buffer.concat([rest, chunk]);
        continue;
      }
      const joined = Buffer.concat([rest, chunk.subarray(0, end)]);
      line(joined, 0, joined.length);
      start = end + 1;
    }
    for (let end = chunk.indexOf(10, start); end >= 0; end = chunk.indexOf(10, start)) {
      line(chunk, start, end);
      start = end + 1;
    }
    rest = Buffer.from(chunk.subarray(start));
  }
  if (rest.length > 0) line(rest, 0, rest.length);
}

function isBlank(buffer: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (buffer[i] > 32) return false;
  return true;
}

async function readTable(file: string, collector: Collector): Promise<void> {
  // Loaded where needed: it takes longer to load than many a file to read.
  const { DuckDBInstance } = await import("@duckdb/node-api");
  const instance = await DuckDBInstance.create(":memory:", { threads: "2" });
  const connection = await instance.connect();
  try {
    const name = `'${file.replaceAll("'", "''")}'`;
    const table = /\.(parquet|pq)$/i.test(file) ? `read_parquet(${name})` : `read_csv(${name}, header = true)`;
    const described = (await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${table}`)).getRowsJS();
    const columns = described.map(([column]) => String(column));
    for (const column of ["prompt_id", "reward", ...(collector.needsRef ? ["ref"] : [])]) {
      if (!columns.includes(column)) throw new InputError(`${file}: there is no column "${column}"`);
    }
    const safety = await safetyColumns(
      file,
      described.map(([column, type]) => ({ column: String(column), type: String(type) })),
      async (sql) => (await connection.runAndReadAll(`SELECT ${sql} FROM ${table}`)).getRowsJS()[0],
    );
    const number = (sql: string) => `CAST(${sql} AS DOUBLE)`;
    const query = `SELECT CAST(prompt_id AS VARCHAR), ${collector.needsRef ? number("ref") : "0::DOUBLE"}, ${number("reward")}, ${safety.map(number).join(", ")} FROM ${table}`;
    const fields = [
      "prompt_id",
      "ref",
      "reward",
      ...safety.map((_, j) => (safety.length === 1 ? "safety" : `safety ${j + 1}`)),
    ];
    const result = await connection.stream(query);
    let rows = 0;
    const where = () => `${file}, row ${rows}`;
    const values = new Float64Array(safety.length);
    for (let chunk = await result.fetchChunk(); chunk && chunk.rowCount > 0; chunk = await result.fetchChunk()) {
      const [ids, ...numbers] = chunk.getColumns();
      for (let i = 0; i < chunk.rowCount; i++) {
        rows++;
        if (ids[i] === null) throw new InputError(`${where()}: "prompt_id" is missing`);
        for (let c = 0; c < numbers.length; c++) {
          const value = numbers[c][i];
          if (typeof value !== "number" || !Number.isFinite(value)) {
            const text = value === null ? "missing" : String(value);
            throw new InputError(`${where()}: "${fields[c + 1]}" is ${text}: give a finite number`);
          }
          if (c >= 2) values[c - 2] = value;
        }
        collector.add(ids[i] as string, numbers[0][i] as number, numbers[1][i] as number, values, where);
      }
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${file}: ${(error as Error).message.split("\n")[0]}`);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** SQL of every safety score. */
async function safetyColumns(
  file: string,
  columns: readonly { column: string; type: string }[],
  select: (sql: string) => Promise<unknown[]>,
): Promise<string[]> {
  const single = columns.find(({ column }) => column === "safety");
  if (single) {
    if (!/\[\]$|^VARCHAR$/.test(single.type)) return ["safety"];
    const list = "CAST(safety AS DOUBLE[])";
    const [least, most] = (await select(`min(coalesce(len(${list}), 0)), max(len(${list}))`)).map(Number);
    if (least !== most || least === 0)
      throw new InputError(`${file}: "safety" has ${least} to ${most} scores: give as many in every row`);
    return Array.from({ length: most }, (_, j) => `${list}[${j + 1}]`);
  }
  const numbered = columns
    .map(({ column }) => column)
    .filter((column) => /^safety_\d+$/.test(column))
    .sort((a, b) => Number(a.slice(7)) - Number(b.slice(7)));
  if (numbered.length === 0) throw new InputError(`${file}: there is no column "safety", nor "safety_1"`);
  return numbered;
}

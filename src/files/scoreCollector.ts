/** Rows of scored samples, prompt by prompt, into arrays; beyond a limit into a file of blocks. */
import type { ScoreStream } from "../dual/passes.js";
import type { Scores } from "../dual/scores.js";
import { InputError } from "../errors.js";
import { IdSet } from "./idSet.js";
import { rowColumns } from "./scoreLines.js";
import { ScoreSpool } from "./scoreSpool.js";

/** Scores in memory where they fit, otherwise in a temporary file that `close` deletes. */
export type OpenScores = { readonly scores: Scores } | { readonly stream: ScoreStream & { close(): Promise<void> } };

/** Options of reading scores. */
export interface ReadOptions {
  /**
   * Set for rows of log-probabilities (`ref` beside `reward` and `safety`): they become PeCAN's implicit scores
   * β ln π/π_ref.
   */
  readonly logProbsBeta?: number;
  /** Numbers (rewards and safety scores) kept in memory at most. */
  readonly memoryLimit?: number;
}

/** 64 MB. */
const defaultMemoryLimit = 2 ** 23;

/** Collector of score rows: checks them, and keeps them in memory, or in a temporary file when they are too many. */
export class ScoreCollector {
  readonly needsRef: boolean;
  private readonly beta: number;
  private readonly memoryLimit: number;
  private constraints = 0;
  private count = 0;
  private prompts = 0;
  private reward = new Float64Array(1024);
  private safety: Float64Array[] = [];
  /** First sample of each prompt at hand. */
  private starts = new Uint32Array(1024);
  private readonly ids = new IdSet();
  private idHigh = 0;
  private idLow = 0;
  private spool: ScoreSpool | undefined;

  constructor(
    readonly file: string,
    { logProbsBeta, memoryLimit = defaultMemoryLimit }: ReadOptions,
  ) {
    this.needsRef = logProbsBeta !== undefined;
    this.beta = logProbsBeta ?? 1;
    this.memoryLimit = memoryLimit;
  }

  /**
   * Takes one row. @param idHigh, idLow hash of its prompt id, as 32-bit integers. @param row see `rowColumns`.
   * @param given how many safety scores it has.
   * @throws InputError starting with `where()`.
   */
  add(idHigh: number, idLow: number, row: Float64Array, given: number, where: () => string): void {
    if (idLow !== this.idLow || idHigh !== this.idHigh || this.prompts === 0) this.startPrompt(idHigh, idLow, where);
    if (given !== this.constraints || given === 0) this.checkConstraints(given, where);
    if (this.count === this.reward.length) this.grow();
    const { beta, needsRef } = this;
    const i = this.count++;
    const reward = row[rowColumns.reward];
    const zero = needsRef ? row[rowColumns.ref] : 0;
    // One test for all: a sum is finite only if its parts are, or overflows, which is told apart there.
    let sum = reward + zero;
    this.reward[i] = beta * (reward - zero);
    for (let j = 0; j < given; j++) {
      const value = row[rowColumns.safety + j];
      sum += value;
      this.safety[j][i] = beta * (value - zero);
    }
    if (!Number.isFinite(sum)) this.checkFinite(row, given, where);
  }

  private checkFinite(row: Float64Array, given: number, where: () => string): void {
    const check = (field: string, value: number) => {
      if (Number.isNaN(value)) throw new InputError(`${where()}: "${field}" is missing or not a number`);
      if (!Number.isFinite(value)) throw new InputError(`${where()}: "${field}" is ${value}: give a finite number`);
    };
    check("reward", row[rowColumns.reward]);
    if (this.needsRef) check("ref", row[rowColumns.ref]);
    for (let j = 0; j < given; j++) check("safety", row[rowColumns.safety + j]);
  }

  finish(): OpenScores {
    if (this.prompts === 0) throw new InputError(`${this.file}: holds no rows`);
    this.endPrompt(() => `${this.file}: at its end`);
    if (this.spool) {
      this.spill();
      const { spool } = this;
      this.spool = undefined;
      return { stream: spool.finish(this.constraints) };
    }
    const copy = (values: Float64Array) => values.slice(0, this.count);
    return { scores: { reward: copy(this.reward), safety: this.safety.map(copy), offsets: this.offsets().slice() } };
  }

  discard(): void {
    this.spool?.discard();
  }

  private startPrompt(idHigh: number, idLow: number, where: () => string): void {
    if (this.prompts > 0) this.endPrompt(where);
    if (!this.ids.add(idHigh, idLow)) {
      throw new InputError(
        `${where()}: this prompt_id was given before, and another's rows stand between: two prompts must not share an id, and the rows of one must stand together (sort the file by prompt_id)`,
      );
    }
    if (this.count * (1 + this.constraints) >= this.memoryLimit) this.spill();
    if (this.prompts + 1 === this.starts.length) {
      const starts = new Uint32Array(2 * this.starts.length);
      starts.set(this.starts);
      this.starts = starts;
    }
    this.starts[this.prompts++] = this.count;
    this.idHigh = idHigh;
    this.idLow = idLow;
  }

  private endPrompt(where: () => string): void {
    if (this.count - this.starts[this.prompts - 1] >= 2) return;
    throw new InputError(`${where()}: the prompt before has one response: the dual needs at least two per prompt`);
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
    const larger = (values: Float64Array) => {
      const copy = new Float64Array(2 * values.length);
      copy.set(values);
      return copy;
    };
    this.reward = larger(this.reward);
    this.safety = this.safety.map(larger);
  }

  private offsets(): Uint32Array {
    this.starts[this.prompts] = this.count;
    return this.starts.subarray(0, this.prompts + 1);
  }

  /** Called between two prompts: all rows at hand are of whole prompts. */
  private spill(): void {
    this.spool ??= new ScoreSpool();
    const part = (values: Float64Array) => values.subarray(0, this.count);
    this.spool.write({ reward: part(this.reward), safety: this.safety.map(part), offsets: this.offsets() });
    this.count = 0;
    this.prompts = 0;
  }
}

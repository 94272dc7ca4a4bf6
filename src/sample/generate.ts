/** Sampling many responses at once: sequences take turns in a fixed number of places until all are done. */
import { InputError } from "../errors.js";
import { type Executable, float32, type HostTensor, int64, type Runtime } from "../graph/index.js";
import { type Model, requireLength } from "../models/model.js";
import { pack } from "../models/packing.js";
import { masksOf } from "../models/windows.js";
import { Random } from "../random.js";
import { ColumnCache } from "./cache.js";
import { type BlockedDistribution, type ChoiceOptions, chooseToken, largestOf, penalized } from "./choose.js";
import { loadDecode, loadPrefill, newRows } from "./graphs.js";

/** Names and meaning as in transformers' GenerationConfig. */
export interface SamplingOptions extends ChoiceOptions {
  readonly maxNewTokens: number;
  readonly repetitionPenalty: number;
  /** Sequences decoded at a time. */
  readonly batchSize: number;
  readonly seed: number;
  /** Tokens that end a response. */
  readonly stopIds: readonly number[];
}

/** Samples wanted of one prompt; each has a random stream of its own, (seed, promptIndex, sampleIndex). */
export interface SampleRequest {
  readonly prompt: readonly number[];
  readonly promptIndex: number;
  readonly sampleIndexes: readonly number[];
}

/** Sample: one response to one prompt. */
export interface Sample {
  readonly promptIndex: number;
  readonly sampleIndex: number;
  /** The token that ended it included. */
  readonly ids: readonly number[];
  /** Σ ln π(token) at temperature 1, in nats, the ending token included. */
  readonly logprob: number;
  readonly finishReason: "stop" | "length";
}

/** Prompt tokens computed in one prefill run. */
const PREFILL_TOKENS = 1024;
const PREFILL_PROMPTS = 32;
/** Time steps that the cache of a response has room for at first. */
const FIRST_ROOM = 64;
/** A score that no softmax lets through. */
const HIDDEN = -1e9;

/**
 * Draws every sample asked for, in the order in which they finish. A prompt is computed once for all its samples, long
 * prompts first.
 */
export async function* generate(
  runtime: Runtime,
  model: Model,
  requests: readonly SampleRequest[],
  options: SamplingOptions,
): AsyncGenerator<Sample> {
  const queue = requests
    .filter((r) => r.sampleIndexes.length > 0)
    .sort((a, b) => b.prompt.length - a.prompt.length || a.promptIndex - b.promptIndex);
  if (queue.length === 0) return;
  for (const { prompt, promptIndex } of queue) {
    if (prompt.length === 0)
      throw new InputError(`prompt ${promptIndex + 1} has no tokens: there is nothing to continue`);
    requireLength(model, prompt.length + 1, `prompt ${promptIndex + 1} with one token more`);
  }
  const longest = Math.min(model.config.maxPositions, queue[0].prompt.length + options.maxNewTokens);
  const temperature = options.temperature || 1;
  const [prefill, decode] = await Promise.all([
    loadPrefill(runtime, model, longest, temperature),
    loadDecode(runtime, model, longest, temperature),
  ]);
  try {
    yield* new Sampler(model, options, queue, prefill, decode).run();
  } finally {
    await prefill.release();
    await decode.release();
  }
}

/** The distribution after one sequence's newest token, and what makes log-probabilities of it. */
interface Next extends BlockedDistribution {
  readonly largest: number;
  readonly normalizer: number;
}

type Outputs = Readonly<Record<string, HostTensor>>;

/** A prompt that has been computed. */
interface Prefilled {
  readonly request: SampleRequest;
  readonly next: Next;
  /** Where its keys and values stand, until they are in a column of the cache. */
  readonly outputs: Outputs;
  readonly row: number;
  column: number;
  /** Samples not yet begun. */
  readonly waiting: number[];
  running: number;
}

/** A sequence on its way. */
interface Live {
  readonly prompt: Prefilled;
  readonly sampleIndex: number;
  readonly random: Random;
  readonly ids: number[];
  logprob: number;
}

class Sampler {
  private readonly promptCache: ColumnCache;
  private readonly ownCache: ColumnCache;
  /** Who owns which column of the caches. */
  private prompts: (Prefilled | undefined)[] = [undefined];
  private places: (Live | undefined)[];
  /** Computed prompts that have samples waiting, the one at hand first. */
  private ready: Prefilled[] = [];
  private readonly finished: Sample[] = [];
  private readonly stops: ReadonlySet<number>;

  constructor(
    private readonly model: Model,
    private readonly options: SamplingOptions,
    private readonly queue: SampleRequest[],
    private readonly prefill: Executable,
    private readonly decode: Executable,
  ) {
    const { layers, keyValueHeads, headDim } = model.config;
    const width = keyValueHeads * headDim;
    const wanted = queue.reduce((n, r) => n + r.sampleIndexes.length, 0);
    this.places = new Array(Math.min(options.batchSize, wanted)).fill(undefined);
    this.ownCache = new ColumnCache(layers, width, this.places.length, Math.min(options.maxNewTokens, FIRST_ROOM));
    // The first prompt is the longest.
    this.promptCache = new ColumnCache(layers, width, this.prompts.length, queue[0].prompt.length);
    this.stops = new Set(options.stopIds);
  }

  async *run(): AsyncGenerator<Sample> {
    for (;;) {
      await this.fillPlaces();
      yield* this.finished.splice(0);
      if (this.places.every((live) => live === undefined)) return;
      this.closeGaps();
      await this.step();
      yield* this.finished.splice(0);
    }
  }

  /** Begins waiting samples wherever there is a place. */
  private async fillPlaces(): Promise<void> {
    for (let place = 0; place < this.places.length; place++) {
      while (this.places[place] === undefined) {
        const prompt = this.ready[0] ?? (await this.computePrompts());
        if (!prompt) return;
        this.begin(prompt, prompt.waiting.shift()!, place);
        if (prompt.waiting.length === 0) this.ready.shift();
      }
    }
  }

  /** Computes the next prompts of the queue, as many as make a batch. Gives the first of them. */
  private async computePrompts(): Promise<Prefilled | undefined> {
    const batch: SampleRequest[] = [];
    let tokens = 0;
    for (let next = this.queue[0]; next !== undefined; next = this.queue[0]) {
      tokens += next.prompt.length;
      if (batch.length > 0 && (tokens > PREFILL_TOKENS || batch.length >= PREFILL_PROMPTS)) break;
      batch.push(this.queue.shift()!);
    }
    if (batch.length === 0) return undefined;
    const packed = pack(
      this.model.config,
      batch.map(({ prompt }) => ({ prompt, completions: [[]] })),
    );
    const last = Int32Array.from(packed.lastRows);
    const outputs = await this.prefill.run({
      ...packed.feeds,
      last_rows: { dtype: "int32", dims: [last.length], data: last },
    });
    for (const [i, request] of batch.entries()) {
      const row = packed.lastRows[i] - request.prompt.length + 1;
      const waiting = [...request.sampleIndexes];
      this.ready.push({ request, next: nextAt(outputs, i), outputs, row, column: -1, waiting, running: 0 });
    }
    return this.ready[0];
  }

  /** Draws a sample's first token; where more are to follow it takes the place. */
  private begin(prompt: Prefilled, sampleIndex: number, place: number): void {
    const random = new Random(this.options.seed, prompt.request.promptIndex, sampleIndex);
    const live: Live = { prompt, sampleIndex, random, ids: [], logprob: 0 };
    if (this.extend(live, prompt.next)) return;
    if (prompt.running++ === 0) this.placePrompt(prompt);
    this.places[place] = live;
  }

  /** Chooses a sequence's next token. True where that was its last. */
  private extend(live: Live, next: Next): boolean {
    const { repetitionPenalty, maxNewTokens } = this.options;
    const { prompt, promptIndex } = live.prompt.request;
    if (!isDistribution(next))
      throw new InputError(
        `${this.model.where}: the probabilities of token ${live.ids.length + 1} of the response to prompt ${promptIndex + 1} are not finite: a weight of the model is NaN or infinite, or its activations overflow`,
      );
    const temperature = this.options.temperature || 1;
    const shown =
      repetitionPenalty === 1
        ? next
        : penalized(next, [...prompt, ...live.ids], repetitionPenalty, temperature, next.largest);
    const token = chooseToken(shown, this.options, live.random);
    live.ids.push(token);
    live.logprob +=
      next.largest - next.normalizer + temperature * Math.log(next.probabilities[token] / largestOf(next.maxima));
    const stopped = this.stops.has(token);
    const room = this.model.config.maxPositions - prompt.length;
    if (!stopped && live.ids.length < Math.min(maxNewTokens, room)) return false;
    const { sampleIndex, ids, logprob } = live;
    this.finished.push({ promptIndex, sampleIndex, ids, logprob, finishReason: stopped ? "stop" : "length" });
    return true;
  }

  /** Writes a prompt's keys and values to a free column of the cache, making room where there is none. */
  private placePrompt(prompt: Prefilled): void {
    let column = this.prompts.indexOf(undefined);
    if (column < 0) {
      column = this.prompts.length;
      const room = Math.min(this.places.length, Math.ceil(column * 1.25)) - column;
      this.layPrompts(Math.max(1, room));
    }
    this.prompts[column] = prompt;
    prompt.column = column;
    for (let part = 0; part < 2 * this.model.config.layers; part++) {
      const rows = prompt.outputs[newRows(part)].data as Float32Array;
      for (let t = 0; t < prompt.request.prompt.length; t++)
        this.promptCache.write(part, t, column, rows, prompt.row + t);
    }
  }

  /** Brings the live prompts together, with so many columns to spare. */
  private layPrompts(spare: number): void {
    const kept = this.prompts.filter((prompt) => prompt !== undefined);
    this.promptCache.keep(
      kept.map(({ column }) => column),
      Math.max(...kept.map(({ request }) => request.prompt.length)),
      kept.length + spare,
    );
    for (const [column, prompt] of kept.entries()) prompt.column = column;
    this.prompts = [...kept, ...new Array(spare).fill(undefined)];
  }

  /** Gives up places and columns that nobody is left to take, once they are many. */
  private closeGaps(): void {
    const places = [...this.places.keys()].filter((i) => this.places[i] !== undefined);
    if (places.length <= 0.8 * this.places.length) {
      this.ownCache.keep(places, this.ownTime(), places.length);
      this.places = places.map((i) => this.places[i]);
    }
    const prompts = this.prompts.filter((prompt) => prompt !== undefined).length;
    if (prompts <= this.prompts.length / 2) this.layPrompts(0);
  }

  /** Time steps of the own cache that are in use. */
  private ownTime(): number {
    return this.places.reduce((time, live) => Math.max(time, live ? live.ids.length - 1 : 0), 1);
  }

  /** Takes every live sequence one token further. */
  private async step(): Promise<void> {
    const parts = 2 * this.model.config.layers;
    const times = this.places.map((live) => (live ? live.ids.length - 1 : 0));
    this.ownCache.grow(Math.max(...times) + 1);
    const outputs = await this.decode.run(this.stepFeeds());
    for (let part = 0; part < parts; part++) {
      const rows = outputs[newRows(part)].data as Float32Array;
      for (const [place, live] of this.places.entries())
        if (live) this.ownCache.write(part, times[place], place, rows, place);
    }
    for (const [place, live] of this.places.entries()) {
      if (!live || !this.extend(live, nextAt(outputs, place))) continue;
      this.places[place] = undefined;
      const { prompt } = live;
      if (--prompt.running === 0 && prompt.waiting.length === 0) this.prompts[prompt.column] = undefined;
    }
  }

  private stepFeeds(): Record<string, HostTensor> {
    const { heads: H, keyValueHeads: KV, headDim, layers } = this.model.config;
    const G = H / KV;
    const B = this.places.length;
    const P = this.prompts.length;
    const ownTime = this.ownTime();
    const promptTime = Math.max(...this.prompts.map((prompt) => prompt?.request.prompt.length ?? 1));

    // Which queries look at which prompt: rows of one prompt side by side.
    const members: number[][] = this.prompts.map(() => []);
    for (const [place, live] of this.places.entries()) if (live) members[live.prompt.column].push(place);
    const M = G * Math.max(...members.map((m) => m.length));
    const promptRows = new Int32Array(P * KV * M);
    const promptPlaces = new Int32Array(B * H);
    for (const [p, group] of members.entries())
      for (const [j, place] of group.entries())
        for (let head = 0; head < H; head++) {
          const at = (p * KV + Math.floor(head / G)) * M + j * G + (head % G);
          promptRows[at] = place * H + head;
          promptPlaces[place * H + head] = at;
        }

    const feeds: Record<string, HostTensor> = {
      ids: int64(
        this.places.map((live) => live?.ids.at(-1) ?? 0),
        [B],
      ),
      positions: int64(
        this.places.map((live) => (live ? positionOf(live) : 0)),
        [B],
      ),
      prompt_rows: { dtype: "int32", dims: [P * KV, M], data: promptRows },
      prompt_places: { dtype: "int32", dims: [B * H], data: promptPlaces },
    };
    for (const { name, window } of masksOf(this.model.config))
      feeds[name] = float32(this.mask(promptTime, ownTime, window), [B, 1, promptTime + ownTime + 1]);
    for (let layer = 0; layer < layers; layer++)
      for (const [i, kind] of ["k", "v"].entries()) {
        const part = 2 * layer + i;
        const prompt = this.promptCache.view(part, promptTime);
        feeds[`prompt_${kind}_${layer}`] = float32(prompt, [promptTime, P * KV, headDim]);
        feeds[`own_${kind}_${layer}`] = float32(this.ownCache.view(part, ownTime), [ownTime, B * KV, headDim]);
      }
    return feeds;
  }

  /** [B, promptTime + ownTime + 1]: what the newest token of every sequence sees of `window` positions; itself always. */
  private mask(promptTime: number, ownTime: number, window: number): Float32Array {
    const width = promptTime + ownTime + 1;
    const mask = new Float32Array(this.places.length * width).fill(HIDDEN);
    for (const [place, live] of this.places.entries()) {
      const row = mask.subarray(place * width, (place + 1) * width);
      row[width - 1] = 0;
      if (!live) continue;
      const length = live.prompt.request.prompt.length;
      const first = Math.max(0, positionOf(live) - window + 1);
      row.fill(0, Math.min(first, length), length);
      row.fill(0, promptTime + Math.max(0, first - length), promptTime + live.ids.length - 1);
    }
    return mask;
  }
}

/** The position of a sequence's newest token. */
const positionOf = ({ prompt, ids }: Live): number => prompt.request.prompt.length + ids.length - 1;

/** Whether a distribution is one: NaN or an infinity among the logits leaves its trace in the sums. */
function isDistribution({ sums, largest, normalizer }: Next): boolean {
  let mass = largest + normalizer;
  for (let i = 0; i < sums.length; i++) mass += sums[i];
  return Number.isFinite(mass);
}

/** Row `i` of the distributions that a graph gave. */
function nextAt(outputs: Outputs, i: number): Next {
  const row = (name: string) => {
    const { data, dims } = outputs[name] as { data: Float32Array; dims: readonly number[] };
    return data.subarray(i * dims[1], (i + 1) * dims[1]);
  };
  return {
    probabilities: row("probabilities"),
    sums: row("sums"),
    maxima: row("maxima"),
    largest: Number(outputs.largest.data[i]),
    normalizer: Number(outputs.normalizer.data[i]),
  };
}

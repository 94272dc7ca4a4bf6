/**
 * Batches without padding: the tokens of all sequences one after the other, so that every matrix product sees real
 * tokens only. Sequences that begin with the same prompt form a tree: the prompt is computed once, and each completion
 * sees the prompt and itself. Only attention needs rows of equal length; index vectors make them there.
 */
import { type HostTensor, int64 } from "../graph/index.js";
import type { ModelConfig } from "./config.js";
import { masksOf } from "./windows.js";

/** A prompt and the completions that continue it. An empty prompt is allowed where every completion has a token. */
export interface TokenTree {
  readonly prompt: readonly number[];
  readonly completions: readonly (readonly number[])[];
}

/** Batch of sequences laid out without padding, as the graph is fed with it. */
export interface PackedBatch {
  /** Graph inputs: ids, positions, query_rows, key_rows, query_places, key_places, and the masks of `masksOf`. */
  readonly feeds: Record<string, HostTensor>;
  /** Rows [N] of the flat batch: the tokens, and a dummy at the end where there is padding. */
  readonly rows: number;
  /** Real tokens in the batch. */
  readonly tokens: number;
  /**
   * Per completion (trees in order, completions in order): the rows whose hidden states predict its tokens. A token
   * with nothing before it is predicted by no row and left out.
   */
  readonly predictors: readonly Int32Array[];
  /** Per completion: the tokens predicted there. */
  readonly targets: readonly (readonly number[])[];
  /** Per completion: the row of its last token (of the prompt's where it is empty). */
  readonly lastRows: readonly number[];
  /** Per completion: the row at which a score model is read, of the last token that is no padding (the first if all are). */
  readonly scoredRows: readonly number[];
}

const HIDDEN = -1e9;

/** Packs trees for `packedInputs`. Positions start at 0 in every tree. */
export function pack(config: ModelConfig, trees: readonly TokenTree[]): PackedBatch {
  const { heads: H, keyValueHeads: KV } = config;
  const G = H / KV;
  const B = trees.length;
  const lengths = trees.map((t) => t.completions.reduce((n, c) => n + c.length, t.prompt.length));
  const tokens = lengths.reduce((a, b) => a + b, 0);
  const T = Math.max(1, ...lengths);
  // Padding points to one more row that belongs to no sequence, whose gradient is zero because nobody reads it.
  const dummy = tokens;
  const N = B * T > tokens ? tokens + 1 : tokens;

  const ids = new Array<number>(N).fill(0);
  const positions = new Array<number>(N).fill(0);
  const queryRows = new Int32Array(B * H * T);
  const keyRows = new Int32Array(B * KV * T);
  const queryPlaces = new Int32Array(N * H);
  const keyPlaces = new Int32Array(N * KV);
  const masks = masksOf(config).map((mask) => ({ ...mask, data: new Float32Array(B * T * T).fill(HIDDEN) }));
  const predictors: Int32Array[] = [];
  const targets: (readonly number[])[] = [];
  const lastRows: number[] = [];
  const scoredRows: number[] = [];

  let start = 0;
  for (const [b, { prompt, completions }] of trees.entries()) {
    for (let t = 0; t < T; t++) {
      const row = t < lengths[b] ? start + t : dummy;
      for (let head = 0; head < H; head++) {
        const place = (b * H + head) * T + t;
        queryRows[place] = row * H + head;
        queryPlaces[row * H + head] = place;
      }
      for (let head = 0; head < KV; head++) {
        const place = (b * KV + head) * T + t;
        keyRows[place] = row * KV + head;
        keyPlaces[row * KV + head] = place;
      }
    }
    const see = (t: number, from: number, to: number, offset: number, position: number) => {
      // Keys t' in [from, to) stand at position t' − offset.
      for (const { window, data } of masks) {
        const first = Math.max(from, position - window + 1 + offset);
        if (first < to) data.fill(0, (b * T + t) * T + first, (b * T + t) * T + to);
      }
    };
    for (const [t, id] of prompt.entries()) {
      ids[start + t] = id;
      positions[start + t] = t;
      see(t, 0, t + 1, 0, t);
    }
    let at = prompt.length;
    for (const completion of completions) {
      const offset = at - prompt.length;
      for (const [i, id] of completion.entries()) {
        ids[start + at + i] = id;
        positions[start + at + i] = prompt.length + i;
        see(at + i, 0, prompt.length, 0, prompt.length + i);
        see(at + i, at, at + i + 1, offset, prompt.length + i);
      }
      const skipped = prompt.length === 0 ? 1 : 0;
      predictors.push(
        Int32Array.from(completion.slice(skipped), (_, j) => {
          const i = j + skipped;
          return start + (i === 0 ? prompt.length - 1 : at + i - 1);
        }),
      );
      targets.push(completion.slice(skipped));
      lastRows.push(start + (completion.length > 0 ? at + completion.length : prompt.length) - 1);
      scoredRows.push(start + scoredPlace(prompt, completion, at, config.score?.padId));
      at += completion.length;
    }
    // Slots beyond the tree see themselves, so that their softmax stays finite.
    for (let t = lengths[b]; t < T; t++) for (const { data } of masks) data[(b * T + t) * T + t] = 0;
    start += lengths[b];
  }
  const int32 = (data: Int32Array, dims: number[]): HostTensor => ({ dtype: "int32", dims, data });
  return {
    feeds: {
      ids: int64(ids, [N]),
      positions: int64(positions, [N]),
      query_rows: int32(queryRows, [B, KV, G * T]),
      key_rows: int32(keyRows, [B, KV, T]),
      query_places: int32(queryPlaces, [N * H]),
      key_places: int32(keyPlaces, [N * KV]),
      ...Object.fromEntries(masks.map(({ name, data }) => [name, { dtype: "float32", dims: [B, 1, T, T], data }])),
    },
    rows: N,
    tokens,
    predictors,
    targets,
    lastRows,
    scoredRows,
  };
}

/** The place in its tree of a sequence's last token that is not `padId`; its completion begins at `at`. */
function scoredPlace(
  prompt: readonly number[],
  completion: readonly number[],
  at: number,
  padId: number | undefined,
): number {
  for (let i = completion.length - 1; i >= 0; i--) if (completion[i] !== padId) return at + i;
  for (let i = prompt.length - 1; i >= 0; i--) if (prompt[i] !== padId) return i;
  return prompt.length > 0 ? 0 : at;
}

/** A tree of many completions is cut into some of about this many tokens, several of which fill a batch. */
const TREE_TOKENS = 512;

/**
 * Rows that share a prompt as trees, at most `most` completions and `tokens` tokens each. `order[i]` is the row of the
 * i-th completion, trees in order.
 */
export function groupByPrompt(
  rows: readonly { readonly prompt: readonly number[]; readonly response: readonly number[] }[],
  tokens = TREE_TOKENS,
): { trees: TokenTree[]; order: number[] } {
  const groups = new Map<string, number[][]>();
  for (const [i, row] of rows.entries()) {
    const key = row.prompt.join(",");
    const parts = groups.get(key) ?? [];
    if (parts.length === 0) groups.set(key, parts);
    const last = parts.at(-1);
    const size = last?.reduce((n, j) => n + rows[j].response.length, row.prompt.length) ?? 0;
    if (last && size + row.response.length <= tokens) last.push(i);
    else parts.push([i]);
  }
  const parts = [...groups.values()].flat();
  return {
    trees: parts.map((part) => ({ prompt: rows[part[0]].prompt, completions: part.map((i) => rows[i].response) })),
    order: parts.flat(),
  };
}

/** Every response that a model can give, where those are few. */

/** Space of the responses that a model can give. */
export interface ResponseSpace {
  /** Tokens that the model's head tells apart. */
  readonly vocabSize: number;
  /** Those that end a response. */
  readonly stopIds: readonly number[];
  /** Longest response, in tokens, the one that ends it included. */
  readonly maxNewTokens: number;
}

/** Number of responses in a space; `Infinity` where that is beyond double precision. */
export function countResponses({ vocabSize, stopIds, maxNewTokens }: ResponseSpace): number {
  const stops = new Set(stopIds).size;
  const others = vocabSize - stops;
  let open = 1;
  let ended = 0;
  for (let length = 0; length < maxNewTokens; length++) {
    ended += open * stops;
    open *= others;
  }
  return ended + open;
}

/**
 * Every response's tokens once, as sampling may draw them: those that a stop token ends (it is their last one), and
 * those cut off at `maxNewTokens`.
 */
export function* enumerateResponses(space: ResponseSpace, begun: readonly number[] = []): Generator<number[]> {
  if (begun.length === space.maxNewTokens) return yield [...begun];
  for (let token = 0; token < space.vocabSize; token++)
    if (space.stopIds.includes(token)) yield [...begun, token];
    else yield* enumerateResponses(space, [...begun, token]);
}

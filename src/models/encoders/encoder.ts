/** What an encoder with a classification head decides: the record that a file of this folder makes of a config.json. */
import type { Tensor } from "../../graph/index.js";
import type { ConfigReader } from "../configReader.js";
import type { Parameters } from "../parameters.js";

/** Encoder with a classification head, as its config.json describes it. */
export interface Encoder {
  readonly vocabSize: number;
  /** Tokens of the longest sequence that its positions allow; Infinity where positions are relative alone. */
  readonly maxTokens: number;
  /** Rows of the table of token types; 0 where there is none. */
  readonly tokenTypes: number;
  /** Rows of the position table for the tokens of a sequence, or angles of the rotary embedding. */
  readonly positions: (ids: readonly number[]) => number[];
  /** Positions to either side that a token sees in the layers that read `localMask`. */
  readonly window?: number;
  /** Tables that the attention of a batch reads, by name: `length` × `length` indexes, row-major. */
  readonly relativePlaces?: (length: number) => Readonly<Record<string, Int32Array>>;
  /** Logits of the sequences: [B, labels]. Throws InputError where a tensor is missing or has another shape. */
  readonly logits: (p: Parameters, x: EncoderInputs) => Tensor;
}

/** Inputs of an encoder's graph: B sequences, each with padding to T tokens; those that its graph does not reach are not fed. */
export interface EncoderInputs {
  /** int64 [B·T] */
  readonly ids: Tensor;
  /** int64 [B·T] */
  readonly positions: Tensor;
  /** int64 [B·T] */
  readonly types: Tensor;
  /** Added to the attention scores, float32 [B, 1, T, T]: padding is hidden. */
  readonly mask: Tensor;
  /** The same where tokens beyond the encoder's window are hidden too. */
  readonly localMask: Tensor;
  /** Rows of the first tokens among B·T, int32 [B]. */
  readonly firstRows: Tensor;
  /** Weights of the mean over each sequence's own tokens, float32 [B, 1, T]. */
  readonly meanWeights: Tensor;
  /** Indexes of `relativePlaces` by name, int64 [1, 1, T, T]. */
  readonly places: (name: string) => Tensor;
  /** One more than the largest position that will be fed. */
  readonly maxLength: number;
}

/** Family of encoders: the encoder of a config.json with so many labels. Throws InputError on what it does not compute. */
export type EncoderFamily = (c: ConfigReader, labels: number) => Encoder;

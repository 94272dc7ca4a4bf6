/** What a model's config.json says, in one form for every family. */
import type { Labels } from "./labels.js";
import type { RopeConfig } from "./rope.js";

/** Shape of a model: sizes, and what the families' blocks differ in. Data only, so that it can be hashed and compared. */
export interface ModelConfig {
  /** The class that config.json names, such as "LlamaForCausalLM". */
  readonly architecture: string;
  /** Key of the family in `families/index.ts`: the class's name without its task, such as "Llama". */
  readonly family: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly normEpsilon: number;
  /** Positions that the model was made for. */
  readonly maxPositions: number;
  /** The output head is the embedding table. */
  readonly tiedHead: boolean;
  readonly queryKeyValueBias: boolean;
  readonly outputBias: boolean;
  readonly mlpBias: boolean;
  /** A token sees this many positions back, itself included; undefined: all. */
  readonly slidingWindow?: number;
  /** Layers that the window is for, one entry a layer; undefined: every layer. */
  readonly slidingLayers?: readonly boolean[];
  readonly rope?: RopeConfig;
  /** Rotary embedding of the layers with a window, where it is another than the others' (Gemma 3). */
  readonly slidingRope?: RopeConfig;
  /** Layers whose queries and keys are turned to their positions, one entry a layer (SmolLM3); undefined: every layer. */
  readonly rotatedLayers?: readonly boolean[];
  /** Factor on the products of queries and keys; undefined: 1/√headDim. */
  readonly attentionScale?: number;
  /** c of c·tanh(x/c), which attention's scores go through (Gemma 2). */
  readonly attentionSoftCap?: number;
  /** c of c·tanh(x/c), which the logits go through (Gemma 2). */
  readonly logitSoftCap?: number;
  /** Divides the logits (Granite). */
  readonly logitDivisor?: number;
  /** Factor on the token embeddings (Gemma, Granite). */
  readonly embeddingScale?: number;
  /** Factor on what attention and feed-forward add to the hidden states (Granite). */
  readonly residualScale?: number;
  /** Present on a model whose output is one score per sequence. */
  readonly score?: ScoreHeadConfig;
}

/** Head of a score model: where its weight lies, and what becomes of its output. */
export interface ScoreHeadConfig {
  readonly labels: Labels;
  /** Name of the head's weight without ".weight": "score" in transformers, "score_head" in Safe-RLHF. */
  readonly module: string;
  /** Safe-RLHF, when the checkpoint asks for it: rewards become (score − mean) / std, costs keep their sign as score / std. */
  readonly normalize?: "affine" | "scale";
  /** The padding token, which may be the end token: the score is read at the last token that is another, as in transformers. */
  readonly padId?: number;
}

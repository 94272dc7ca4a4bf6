/** What a model family decides: the record that a file of this folder fills. */
import type { Tensor } from "../../graph/index.js";
import type { ModelConfig } from "../config.js";
import type { ConfigReader } from "../configReader.js";
import type { Parameters } from "../parameters.js";

/** Model family: how its config.json is read, how its tensors are named, and its block as a graph. */
export interface ModelFamily {
  /** The family's part of a `ModelConfig`. Throws InputError on what the blocks below do not compute. */
  readonly readConfig: (c: ConfigReader) => FamilyConfig;
  readonly names: FamilyNames;
  /** Whether a linear weight is stored [in, out], which PEFT calls fan_in_fan_out, instead of torch.nn.Linear's [out, in]. */
  readonly fanInFanOut: boolean;
  /** Whether the record covers only a part of its checkpoints, so that a whole model cannot be written: adapters can. */
  readonly adaptersOnly?: boolean;
  /** The linear modules of one block, in the order of the forward pass: name below the layer, input width, output width. */
  readonly linearModules: (
    config: ModelConfig,
  ) => readonly (readonly [name: string, inSize: number, outSize: number])[];
  /** The norm of hidden states [N, hiddenSize] by the module of that name, as it stands after the last block. */
  readonly norm: (config: ModelConfig, p: Parameters, x: Tensor, module: string) => Tensor;
  /** One block: hidden states [N, hiddenSize] → the same shape. */
  readonly block: (layer: Layer, x: Tensor) => Tensor;
}

/** Fields of a `ModelConfig` that the family fills. */
export type FamilyConfig = Omit<ModelConfig, "architecture" | "family" | "score">;

/** Names of a family's modules in its checkpoints, below the backbone. */
export interface FamilyNames {
  /** The backbone in the whole model, such as "model": PEFT names modules with it, some checkpoints leave it out. */
  readonly backbone: string;
  /** The backbone in checkpoints of earlier transformers, where it has been renamed. */
  readonly formerBackbone?: string;
  readonly embedding: string;
  /** The table of learned positions, where there is one. */
  readonly positions?: string;
  /** The list of blocks: "layers" for modules "layers.0", "layers.1", … */
  readonly layers: string;
  readonly finalNorm: string;
}

/** One layer under construction. */
export interface Layer {
  readonly config: ModelConfig;
  readonly p: Parameters;
  /** Name of the layer in the checkpoint, such as "model.layers.3". */
  readonly name: string;
  /** Queries or keys [N, n·headDim] turned to their positions. */
  readonly rotate: (x: Tensor) => Tensor;
  /** Attention: q [N, heads·d], k and v [N, keyValueHeads·d] → [N, heads·d]. */
  readonly attend: (q: Tensor, k: Tensor, v: Tensor) => Tensor;
}

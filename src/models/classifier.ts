/** Encoders with a classification head: config.json read, and the graph from token ids to logits. */
import { input, isOp, mulDims, reachable, type StoredTensor, type Tensor } from "../graph/index.js";
import { ConfigReader, type RawConfig, refuseForms } from "./configReader.js";
import type { Encoder, EncoderInputs } from "./encoders/encoder.js";
import { ENCODERS } from "./encoders/index.js";
import { type Labels, readLabels } from "./labels.js";
import { Parameters } from "./parameters.js";

/** Task that the classes of classifiers have at the end of their names. */
const TASK = "ForSequenceClassification";

/** Classifier: its encoder, its labels, and where its weights lie. */
export interface Classifier {
  readonly architecture: string;
  readonly encoder: Encoder;
  readonly labels: Labels;
  readonly weights: ReadonlyMap<string, StoredTensor>;
  /** Folder or hub id, for messages. */
  readonly where: string;
}

/** Test of a config.json: true where it is an encoder's with a classification head, of a family known here. */
export const isClassifier = (raw: RawConfig): boolean => familyName(raw) !== undefined;

function familyName({ architectures }: RawConfig): string | undefined {
  const architecture = (architectures as unknown[] | undefined)?.[0];
  if (typeof architecture !== "string" || !architecture.endsWith(TASK)) return undefined;
  const name = architecture.slice(0, -TASK.length);
  return Object.hasOwn(ENCODERS, name) ? name : undefined;
}

/** Classes that are read, for messages. */
export const classifierClasses: readonly string[] = Object.keys(ENCODERS).map((name) => name + TASK);

/**
 * Encoder and labels of a config.json, and what of it asks for something and is not used. Throws InputError where the class
 * is none of these, or asks for what is not computed here.
 */
export function readClassifier(
  raw: RawConfig,
  where: string,
): { architecture: string; encoder: Encoder; labels: Labels; unused: readonly string[] } {
  const c = new ConfigReader(raw, where);
  const architecture = (c.get("architectures") as string[] | undefined)?.[0];
  const name = familyName(raw);
  if (name === undefined)
    return c.fail(`${architecture ?? "no class"} is no classifier: supported are ${classifierClasses.join(", ")}`);
  refuseForms(c);
  c.only("is_decoder", false);
  const labels = readLabels(c);
  const encoder = ENCODERS[name]!(c, labels.names.length);
  return { architecture: architecture!, encoder, labels, unused: c.unused() };
}

/** Inputs of a classifier's graph whose sequences have at most `maxLength` tokens. */
function classifierInputs(maxLength: number): EncoderInputs {
  const rows = mulDims("B", "T");
  return {
    ids: input("ids", "int64", [rows]),
    positions: input("positions", "int64", [rows]),
    types: input("types", "int64", [rows]),
    // The first two sizes are read off this one at run time.
    mask: input("mask", "float32", ["B", 1, "T", "T"]),
    localMask: input("local_mask", "float32", ["B", 1, "T", "T"]),
    firstRows: input("first_rows", "int32", ["B"]),
    meanWeights: input("mean_weights", "float32", ["B", 1, "T"]),
    places: (name) => input(name, "int64", [1, 1, "T", "T"]),
    maxLength,
  };
}

/** Graph of a classifier: its logits [B, labels], and the names of the inputs that it reaches. */
export function classifierGraph(
  { encoder, weights, where }: Classifier,
  maxLength: number,
): { logits: Tensor; inputs: ReadonlySet<string> } {
  const p = Parameters.frozen(weights, where);
  const logits = encoder.logits(p, classifierInputs(maxLength + 1));
  const names = reachable([logits]).flatMap((node) => (isOp(node, "input") ? [node.attributes.name] : []));
  return { logits, inputs: new Set(names) };
}

/** Stored tensors that a classifier's graph reads. Throws InputError where one is missing or has another shape. */
export function classifierWeights(classifier: Classifier): string[] {
  const nodes = reachable([classifierGraph(classifier, 1).logits]);
  return nodes.flatMap((node) => (isOp(node, "weight") ? [node.attributes.stored.name] : []));
}

/** Floating-point operations of the weights' products for one token. */
export function classifierFlops(classifier: Classifier): number {
  let sum = 0;
  for (const node of reachable([classifierGraph(classifier, 1).logits]))
    if (
      isOp(node, "matmul") &&
      isOp(node.inputs[1]!.node, "weight") &&
      node.inputs[0]!.shape[0] === mulDims("B", "T")
    ) {
      const [outSize, inSize] = node.inputs[1]!.shape.map(Number);
      sum += 2 * outSize! * inSize!;
    }
  return sum;
}

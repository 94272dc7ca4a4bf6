/** Classifiers: encoders whose head has labels, such as toxicity, as a run's scorer. */
import { InputError } from "../../errors.js";
import { openModelFolder } from "../../files/modelFolder.js";
import type { Runtime } from "../../graph/index.js";
import {
  type Classifier,
  classifierClasses,
  classifierFlops,
  classifierWeights,
  isClassifier,
  readClassifier,
} from "../../models/classifier.js";
import { type LabelActivation, labelValue, readingOf } from "../../models/labels.js";
import type { Notice } from "../../ports/events.js";
import type { GivenResponse } from "../../ports/policy.js";
import type { Scorer } from "../../ports/scorer.js";
import { classify, type EncodedText } from "../../score/classify.js";
import { fillPlaces, promptText } from "../../text/places.js";
import { requireEmbedded } from "../../text/rows.js";
import type { Tokenizer } from "../../text/tokenizer.js";
import { tensorsBeside, unusedKeys, unusedTensors } from "./unused.js";

/** Classifier to open. */
export interface ClassifierRef {
  /** Name in errors. */
  readonly name: string;
  /** Folder or hub id. */
  readonly model: string;
  /** Label whose value is the score; not needed where there is one. */
  readonly label?: string;
  /** Function of the logits; by default what the model was trained with. */
  readonly activation?: LabelActivation;
  /** Texts that it reads: the response alone, or the prompt and the response as a pair. */
  readonly text?: "response" | "pair";
  /** Text with {prompt} and {response} that it reads in their place. */
  readonly template?: string;
  /** Longest text in tokens; by default what its positions allow, at most 512. */
  readonly maxLength?: number;
}

/** Longest text in tokens where none is given: what most encoders were trained on. */
const USUAL_LENGTH = 512;

/**
 * Scorer of a classifier: the value of one of its labels.
 * @throws InputError where the model is no classifier that this engine runs, has no such label, or has fewer positions.
 */
export async function openClassifier(
  runtime: Runtime,
  { name, model, label, activation, text = "response", template, maxLength }: ClassifierRef,
  notice: Notice = () => {},
): Promise<Scorer> {
  const folder = await openModelFolder(model);
  const file = `${folder.path}/config.json`;
  if (!isClassifier(folder.config))
    throw new InputError(
      `scorer '${name}': ${folder.path} is a ${String((folder.config.architectures as unknown[] | undefined)?.[0])}, no classifier that is read here: those are ${classifierClasses.join(", ")}; a causal model with a score head is given as 'model'`,
    );
  const { unused, ...read } = readClassifier(folder.config, file);
  const classifier: Classifier = { ...read, weights: folder.weights, where: folder.path };
  // Builds the graph without loading it: a missing or misshapen tensor is an error now, not hours later.
  const used = new Set(classifierWeights(classifier));
  for (const message of [...unusedKeys(file, unused), ...unusedTensors(folder.path, tensorsBeside(used, classifier))])
    notice(message);
  const { labels, encoder } = classifier;
  const where = `scorer '${name}': ${folder.path}`;
  const reads = readingOf(labels, { label, activation }, where);
  if (maxLength !== undefined && maxLength > encoder.maxTokens)
    throw new InputError(`${where} has ${encoder.maxTokens} positions: max_length ${maxLength} is more`);
  const most = maxLength ?? Math.min(USUAL_LENGTH, encoder.maxTokens);
  let cutRows = 0;
  return {
    flopsPerToken: classifierFlops(classifier),
    get cutRows() {
      return cutRows;
    },
    maxLength: most,
    cutSide: folder.tokenizer.cutSide,
    async *score(rows) {
      const texts = rows.map((row, i) => {
        const encoded = encodeRow(folder.tokenizer, row, { text, template, maxLength: most, place: `row ${i + 1}` });
        if (encoded.cut) cutRows++;
        return encoded;
      });
      for await (const { index, logits } of classify(runtime, classifier, texts))
        yield { index, value: labelValue(logits, reads) };
    },
    async close() {},
  };
}

/** Tokens of what a classifier reads of a row. */
function encodeRow(
  tokenizer: Tokenizer,
  { prompt, response, where }: GivenResponse,
  { text, template, maxLength, place }: Pick<ClassifierRef, "text" | "template"> & { maxLength: number; place: string },
): EncodedText & { cut: boolean } {
  const read = (): [string, string?] => {
    if (template !== undefined) return [fillPlaces(template, { prompt, response })];
    return text === "pair" ? [promptText(prompt), response] : [response];
  };
  const encoded = tokenizer.encodePair(read(), maxLength);
  if (encoded.ids.length === 0) throw new InputError(`${where ?? place}: there is nothing to read`);
  requireEmbedded(tokenizer, encoded.ids, where ?? place);
  return encoded;
}

/** Protocols of servers that score: what a batch looks like on the way out, and its scores on the way back. */
import { InputError } from "../../errors.js";
import type { ScorerApi } from "../../recipe/kinds/endpoints.js";
import { type Fields, fields, list } from "./dialects/answers.js";

/** Row as a protocol takes it: token ids, or a text. */
export type Input = readonly number[] | string;

/** Options of a protocol that a scorer names. */
export interface ApiOptions {
  readonly model?: string;
  /** Name of the wanted label or category. */
  readonly label?: string;
  /** Whether the server is to pass its scores through a sigmoid or softmax; false but in a probe. */
  readonly activated?: boolean;
}

/** Protocol of a server that scores. */
export interface ScorerProtocol {
  /** Path of its requests, as of {@link Client}. */
  readonly path: string;
  readonly input: "ids" | "text";
  /** Whether the server can pass scores through a sigmoid, so that a probe has to see that it does not. */
  readonly activates: boolean;
  body(inputs: readonly Input[], options: ApiOptions): object;
  /** Scores in the order of the inputs. @throws InputError where the label is not among those given. */
  read(answer: unknown, options: ApiOptions): unknown[];
}

/** Requests of vLLM's protocols. */
const ofVllm: Pick<ScorerProtocol, "input" | "activates" | "body"> = {
  input: "ids",
  activates: true,
  body: (input, { model, activated = false }) => ({ model, input, use_activation: activated }),
};

/** Protocols by the name that recipes give them. */
export const scorerProtocols: Readonly<Record<ScorerApi, ScorerProtocol>> = {
  classify: {
    path: "/classify",
    ...ofVllm,
    read: (answer, { label }) =>
      inOrder(fields(answer).data).map((one) => oneOf(list(one.probs), label, "probabilities")),
  },
  pooling: {
    path: "/pooling",
    ...ofVllm,
    // A reward for every token where the model gives such: the last one is the response's.
    read: (answer, { label }) =>
      inOrder(fields(answer).data).map(({ data }) => {
        const last = list(data).at(-1);
        return Array.isArray(last) ? oneOf(last, label, "values") : oneOf(list(data), label, "values");
      }),
  },
  predict: {
    path: "/predict",
    input: "text",
    activates: true,
    // A list of lists is a batch, each of one text.
    body: (texts, { activated = false }) => ({
      inputs: texts.map((text) => [text]),
      raw_scores: !activated,
      truncate: false,
    }),
    read: (answer, { label }) =>
      list(answer).map((one) => {
        const labels = list(one).map(fields);
        return named(Object.fromEntries(labels.map((entry) => [String(entry.label), entry.score])), label);
      }),
  },
  moderations: {
    path: "moderations",
    input: "text",
    activates: false,
    body: (input, { model }) => ({ ...(model === undefined ? {} : { model }), input }),
    read: (answer, { label }) =>
      list(fields(answer).results).map((one) => {
        const scores = fields(fields(one).category_scores);
        if (label !== "max") return named(scores, label);
        return Math.max(...Object.values(scores).map(Number));
      }),
  },
};

const inOrder = (data: unknown): Fields[] =>
  list(data)
    .map(fields)
    .toSorted((a, b) => Number(a.index ?? 0) - Number(b.index ?? 0));

/** The value, or the one of several whose place the label is. */
function oneOf(values: readonly unknown[], label: string | undefined, what: string): unknown {
  if (values.length === 1 && label === undefined) return values[0];
  const place = Number(label);
  if (label !== undefined && Number.isInteger(place) && place >= 0 && place < values.length) return values[place];
  throw new InputError(
    `gives ${values.length} ${what} for a row: label must be the place of the wanted one, 0 to ${values.length - 1}`,
  );
}

function named(scores: Readonly<Record<string, unknown>>, label: string | undefined): unknown {
  const names = Object.keys(scores);
  if (label === undefined && names.length === 1) return scores[names[0]!];
  if (label !== undefined && names.includes(label)) return scores[label];
  throw new InputError(
    `gives the labels ${names.join(", ")}: ${label === undefined ? "set label to the wanted one" : `'${label}' is none of them`}`,
  );
}

/** Servers as recipes and the command line name them: an address, and how it is spoken to. */
import { z } from "zod";
import { count, name } from "./common.js";

/** Fields of a connection to any server. */
export const connectionFields = {
  key: name
    .optional()
    .describe(
      "environment variable that holds the endpoint's token; without it none is sent, but OPENAI_API_KEY to api.openai.com",
    ),
  concurrency: count.default(16).describe("requests at a time"),
  timeout: z.number().positive().default(600).describe("seconds for each request"),
  retries: z
    .number()
    .int()
    .nonnegative()
    .default(8)
    .describe("times that a request which failed is sent again, after waits that double: four minutes together"),
};

/** Fields of a server that samples and gives log-probabilities: vLLM, SGLang, llama.cpp. */
export const policyEndpointFields = {
  endpoint: name.describe("base URL of an OpenAI-compatible server, with its /v1"),
  model: name.optional().describe("name under which the server has the model; not needed where it has but one"),
  serves: name.optional().describe("folder or hub id of the model that it is; the recipe's model by default"),
  tokenizer: name
    .optional()
    .describe("folder or hub id of its tokenizer, by which ids go out and come in; that of the model by default"),
  ...connectionFields,
};

/** Server that samples and gives log-probabilities. */
export type PolicyEndpoint = z.infer<z.ZodObject<typeof policyEndpointFields>>;

/** Fields of a chat model that judges or rates. @param unread what an answer may lack: "a verdict". */
export const chatFields = (unread: string) => ({
  endpoint: name.describe("base URL of an OpenAI-compatible chat endpoint"),
  model: name.describe("the endpoint's model"),
  parameters: z.record(z.string(), z.unknown()).default({ temperature: 0 }).describe("sent along with every request"),
  key: connectionFields.key,
  concurrency: count.default(4).describe("requests at a time"),
  retries: z
    .number()
    .int()
    .nonnegative()
    .default(6)
    .describe(`of a request that fails, or of an answer without ${unread}`),
});

/** Protocols of servers that score. */
export const scorerApis = ["classify", "pooling", "predict", "moderations"] as const;

/** Protocol of a server that scores. */
export type ScorerApi = (typeof scorerApis)[number];

/** Fields of a server that scores. */
export const scorerEndpointFields = {
  endpoint: name.describe("base URL of a server that scores"),
  api: z
    .enum(scorerApis)
    .describe(
      "its protocol: vLLM's classify or pooling (a reward model, by token ids), text-embeddings-inference's predict, or OpenAI's moderations",
    ),
  model: name.optional().describe("the endpoint's model; predict has but one, and takes no name"),
  tokenizer: name
    .optional()
    .describe(
      "folder or hub id of the served model's tokenizer: classify and pooling need it; elsewhere its chat template makes a text of a conversation",
    ),
  label: name
    .optional()
    .describe("which of several labels or moderation categories is the score; max takes the largest category"),
  text: z
    .enum(["conversation", "response"])
    .optional()
    .describe("of predict and moderations: what is read; moderations read the response by default, predict all of it"),
  max_length: count.default(512).describe("of classify and pooling: longest prompt and response together, in tokens"),
  batch_size: count.default(16).describe("rows of one request"),
  ...connectionFields,
};

/** Server that scores. */
export type ScorerEndpoint = z.infer<z.ZodObject<typeof scorerEndpointFields>>;

/** Options of a server that scores which must fit together. */
type ScorerParts = Pick<ScorerEndpoint, "api" | "model" | "tokenizer" | "text">;

/**
 * Contradiction within the options of a server that scores, as the key and what to do about it; undefined where there is
 * none. What its protocol would not read is one.
 */
export function scorerContradiction(spec: ScorerParts): { key: keyof ScorerParts; message: string } | undefined {
  const { api, model, tokenizer, text } = spec;
  if (api === "classify" || api === "pooling") {
    if (tokenizer === undefined)
      return { key: "tokenizer", message: `is needed by ${api}: the folder or hub id of the served model's tokenizer` };
    if (text !== undefined)
      return { key: "text", message: `is not read by ${api}, which gets token ids: leave it out` };
  } else if (api === "predict" && model !== undefined)
    return { key: "model", message: "is not read by predict, whose server has one model: leave it out" };
  else if (tokenizer !== undefined && textRead(spec) === "response")
    return {
      key: "tokenizer",
      message: "is not read where the response alone is: leave it out, or set text to conversation",
    };
  return undefined;
}

/** Text that a server of texts reads: moderations the response by default, the others all of it. */
export const textRead = ({ api, text }: Pick<ScorerEndpoint, "api" | "text">): "conversation" | "response" =>
  text ?? (api === "moderations" ? "response" : "conversation");

/** Check of the options of a server that scores. */
export function checkScorerEndpoint(given: object, context: z.RefinementCtx): void {
  const against = scorerContradiction(given as ScorerEndpoint);
  if (against) context.addIssue({ code: "custom", path: [against.key], message: against.message });
}

/** Ways to read a rating out of a chat model's answer. */
export const ratingReads = ["number", "expectation"] as const;

/** Fields of a chat model that rates. */
export const ratingFields = {
  rubric: name.describe("text that says what is rated and what the numbers mean; the model reads it with each reply"),
  ...chatFields("a rating"),
  timeout: connectionFields.timeout,
  lowest: z.number().int().default(1).describe("lowest rating"),
  highest: z.number().int().default(9).describe("highest rating"),
  read: z
    .enum(ratingReads)
    .default("number")
    .describe(
      "number: the one that the model says; expectation: the mean over the digits that it might say, by their log-probabilities (ranges within 0 to 9)",
    ),
  unreadable: z
    .number()
    .optional()
    .describe("score of a row whose rating cannot be read; without it such a row ends the run"),
};

/** Chat model that rates. */
export type Rating = z.infer<z.ZodObject<typeof ratingFields>>;

/** Check of the range of ratings. Digits alone are one token each in every vocabulary. */
export function checkRatings(given: object, context: z.RefinementCtx): void {
  // A schema whose other keys are open has no type of its own.
  const { lowest, highest, read } = given as Pick<Rating, "lowest" | "highest" | "read">;
  const issue = (path: string, message: string) => context.addIssue({ code: "custom", path: [path], message });
  if (highest <= lowest) issue("highest", `must be above lowest, which is ${lowest}`);
  if (read === "expectation" && (lowest < 0 || highest > 9))
    issue("read", `can be expectation only where ratings are digits: lowest 0 or more, highest 9 or less`);
}

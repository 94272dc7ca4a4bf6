/** Servers as recipes and the command line name them: an address, and how it is spoken to. */
import { z } from "zod";
import { count, name } from "./common.js";

/** Fields of a connection to any server. */
export const connectionFields = {
  key: name.optional().describe("environment variable that holds the endpoint's token; none is sent without it"),
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
  model: name.optional().describe("the endpoint's model"),
  tokenizer: name.optional().describe("of classify and pooling: folder or hub id of the served model's tokenizer"),
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

/** Servers as recipes and the command line name them: an address, and how it is spoken to. */
import { z } from "zod";

const name = z.string().min(1);
const count = z.number().int().positive();

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
    .describe("times that a request which failed is sent again, each after twice the wait, four minutes together"),
};

/** Schema of a server that samples and gives log-probabilities: vLLM, SGLang, llama.cpp. */
export const policyEndpointSchema = z.strictObject({
  endpoint: name.describe("base URL of an OpenAI-compatible server, with its /v1"),
  model: name.optional().describe("name under which it serves the model; not needed where it has one"),
  tokenizer: name
    .optional()
    .describe(
      "folder or hub id of the served model's tokenizer: ids go out and come in by it; the model's own by default",
    ),
  ...connectionFields,
});

/** Server that samples and gives log-probabilities. */
export type PolicyEndpoint = z.infer<typeof policyEndpointSchema>;

/** Protocols of servers that score. */
export const scorerApis = ["classify", "pooling", "predict", "moderations"] as const;

/** Protocol of a server that scores. */
export type ScorerApi = (typeof scorerApis)[number];

/** Fields of a server that scores, beside those that every scorer has. */
export const scorerEndpointFields = {
  endpoint: name.optional().describe("base URL of a server that scores"),
  api: z
    .enum(scorerApis)
    .optional()
    .describe(
      "its protocol: vLLM's classify or pooling (a reward model by token ids), text-embeddings-inference's predict, or OpenAI's moderations",
    ),
  tokenizer: name.optional().describe("of classify and pooling: folder or hub id of the served model's tokenizer"),
  label: name
    .optional()
    .describe("which of several labels or moderation categories is the score; of moderations, max takes the largest"),
  text: z
    .enum(["conversation", "response"])
    .optional()
    .describe("of predict and moderations: whether the prompt goes along; response by default for moderations"),
};

/** Server that scores. */
export interface ScorerEndpoint {
  readonly endpoint: string;
  readonly api: ScorerApi;
  readonly model?: string;
  readonly tokenizer?: string;
  readonly label?: string;
  readonly text?: "conversation" | "response";
  readonly key?: string;
  readonly concurrency: number;
  readonly timeout: number;
  readonly retries: number;
}

/** llama.cpp's own `/completion`: ids in and out, log-probabilities of what it samples; none of given texts. */
import { type Client, Passing } from "../client.js";
import { fields, idsOf, list, logprobsOf, misshapen } from "./answers.js";
import type { Dialect, Draw, Drawn } from "./dialect.js";

/** Dialect of llama.cpp. The server has one model, and its adapters from its start. */
export function llamacppDialect(client: Client): Dialect {
  return {
    server: "llama.cpp",
    mostChoices: 1,
    draw: (request, signal) =>
      client.post("/completion", drawBody(request), (answer) => [readDrawn(client.where, answer)], { signal }),
    forModel: () => llamacppDialect(client),
  };
}

const drawBody = (request: Draw) => ({
  prompt: request.prompt,
  n_predict: request.maxTokens,
  // Its seeds are of 32 bits; the largest means a random one.
  seed: request.seed % (2 ** 32 - 1),
  temperature: request.temperature,
  top_k: request.topK,
  top_p: request.topP,
  min_p: 0,
  typical_p: 1,
  repeat_penalty: request.repetitionPenalty,
  repeat_last_n: 2 ** 31 - 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  samplers: ["penalties", "top_k", "top_p", "temperature"],
  // One token at least: without it the answer has no log-probabilities at all.
  n_probs: Math.max(1, request.top ?? 0),
  post_sampling_probs: false,
  return_tokens: true,
  // A prompt computed in another batch would give other bits, and another response to the same seed.
  cache_prompt: false,
  stream: false,
});

function readDrawn(where: string, answer: unknown): Drawn {
  const { tokens, content, stop_type, truncated, completion_probabilities } = fields(answer);
  if (truncated === true)
    throw misshapen(where, "a prompt that was cut to its context (-c, shared among its slots, -np)");
  if (stop_type !== "eos" && stop_type !== "limit" && stop_type !== "word")
    throw new Passing(`a response that ended by ${JSON.stringify(stop_type)}`);
  const steps = list(completion_probabilities).map(fields);
  const ids = idsOf(steps.map(({ id }) => id));
  const logprobs = logprobsOf(steps.map(({ logprob }) => logprob));
  if (ids === undefined || logprobs === undefined || idsOf(tokens) === undefined || steps.length === 0)
    throw misshapen(where, 'no token ids with log-probabilities ("completion_probabilities")');
  const top = list(steps[0].top_logprobs).map((one) => Number(fields(one).logprob));
  return {
    ids,
    logprobs,
    text: typeof content === "string" ? content : "",
    finishReason: stop_type === "eos" ? "stop" : "length",
    top: top.toSorted((a, b) => b - a),
  };
}

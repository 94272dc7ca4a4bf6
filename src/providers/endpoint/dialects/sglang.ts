/**
 * SGLang's own `/generate` (read from its sources, never run here: it needs a GPU): ids in, `[ln π, id, text]` out. One
 * response a request, since the choices of one share its seed.
 */
import { type Client, Passing } from "../client.js";
import { fields, list, logprobsOf, misshapen } from "./answers.js";
import type { Dialect, Draw, Drawn } from "./dialect.js";

/** Dialect of SGLang. An adapter goes by `lora_path`, the name under which it is loaded. */
export function sglangDialect(client: Client, adapter?: string): Dialect {
  const common = adapter === undefined ? {} : { lora_path: adapter };
  return {
    server: "SGLang",
    mostChoices: 1,
    draw: (request, signal) =>
      client.post(
        "/generate",
        {
          ...common,
          input_ids: request.prompt,
          sampling_params: samplingParams(request),
          return_logprob: true,
          top_logprobs_num: request.top ?? 0,
          stream: false,
        },
        (answer) => [readDrawn(client.where, answer)],
        { signal },
      ),
    tokenLogprobs: (ids, from, signal) =>
      client.post(
        "/generate",
        {
          ...common,
          input_ids: ids,
          sampling_params: { max_new_tokens: 1, temperature: 1 },
          return_logprob: true,
          logprob_start_len: Math.max(0, from - 1),
          stream: false,
        },
        (answer) => {
          const given = list(fields(fields(answer).meta_info).input_token_logprobs).map(list);
          // The first place that is asked for has none before it, so it comes without a value.
          const wanted = given.slice(given.length - (ids.length - from));
          const logprobs = logprobsOf(wanted.map(([logprob]) => logprob));
          const right = wanted.every(([, id], i) => id === ids[from + i]);
          if (logprobs === undefined || logprobs.length !== ids.length - from || !right)
            throw misshapen(client.where, 'no log-probabilities of given tokens ("input_token_logprobs")');
          return logprobs;
        },
        { signal },
      ),
    loadAdapter: (lora_name, lora_path) => client.post("/load_lora_adapter", { lora_name, lora_path }, () => undefined),
    forModel: (name) => sglangDialect(client, name),
  };
}

const samplingParams = (request: Draw) => ({
  n: 1,
  max_new_tokens: request.maxTokens,
  temperature: request.temperature,
  top_p: request.topP,
  top_k: request.topK === 0 ? -1 : request.topK,
  min_p: 0,
  repetition_penalty: request.repetitionPenalty,
  presence_penalty: 0,
  frequency_penalty: 0,
  stop_token_ids: request.stopIds,
  ignore_eos: false,
  // Heeded where the server runs with --enable-deterministic-inference.
  sampling_seed: request.seed % 2 ** 31,
});

function readDrawn(where: string, answer: unknown): Drawn {
  const { text, meta_info } = fields(Array.isArray(answer) ? answer[0] : answer);
  const { finish_reason, output_token_logprobs, output_top_logprobs } = fields(meta_info);
  const { type } = fields(finish_reason);
  if (meta_info === undefined || type === "abort") throw new Passing("a response that was cut off");
  if (type !== "stop" && type !== "length") throw misshapen(where, `responses that end by ${JSON.stringify(type)}`);
  const triples = list(output_token_logprobs).map(list);
  const logprobs = logprobsOf(triples.map(([logprob]) => logprob));
  const ids = triples.map(([, id]) => id);
  if (triples.length === 0 || logprobs === undefined || !ids.every((id) => Number.isSafeInteger(id)))
    throw misshapen(where, 'no "output_token_logprobs"');
  const top = list(list(output_top_logprobs)[0]).map((one) => Number(list(one)[0]));
  return {
    ids: ids as number[],
    logprobs,
    text: typeof text === "string" ? text : "",
    finishReason: type,
    top: top.toSorted((a, b) => b - a),
  };
}

/** OpenAI's `/completions` with the keys that vLLM adds to it (0.32): token ids in and out, `prompt_logprobs`, LoRA. */
import { type Client, Passing } from "../client.js";
import { fields, idsOf, list, logprobsOf, misshapen } from "./answers.js";
import type { Dialect, Draw, Drawn } from "./dialect.js";

/** Dialect of vLLM. Servers that ignore its keys are found out by the shape of their answers. */
export function completionsDialect(client: Client, model: string, server = "vLLM"): Dialect {
  return {
    server,
    mostChoices: 256,
    draw: (request, signal) =>
      client.post("completions", drawBody(model, request), (answer) => readDrawn(client.where, answer, request), {
        signal,
      }),
    tokenLogprobs: (ids, from, signal) =>
      client.post(
        "completions",
        { ...neutral, model, prompt: ids, max_tokens: 1, temperature: 1, prompt_logprobs: 0 },
        (answer) => readPromptLogprobs(client.where, answer, ids, from),
        { signal },
      ),
    // Its answer is a plain text.
    loadAdapter: (lora_name, lora_path) =>
      client.post("/v1/load_lora_adapter", { lora_name, lora_path }, () => undefined),
    forModel: (name) => completionsDialect(client, name, server),
  };
}

/** Every key that a server would otherwise take from the model's generation_config.json. */
const neutral = {
  top_p: 1,
  top_k: 0,
  min_p: 0,
  repetition_penalty: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  min_tokens: 0,
  stream: false,
};

const drawBody = (model: string, request: Draw) => ({
  ...neutral,
  model,
  prompt: request.prompt,
  n: request.count,
  seed: request.seed,
  max_tokens: request.maxTokens,
  temperature: request.temperature,
  top_k: request.topK,
  top_p: request.topP,
  repetition_penalty: request.repetitionPenalty,
  stop_token_ids: request.stopIds,
  ignore_eos: false,
  skip_special_tokens: true,
  logprobs: request.top ?? 0,
  return_token_ids: true,
  return_tokens_as_token_ids: true,
});

function readDrawn(where: string, answer: unknown, request: Draw): Drawn[] {
  const { choices } = fields(answer);
  if (!Array.isArray(choices)) throw new Passing(`an answer without "choices"`);
  if (choices.length !== request.count) throw misshapen(where, `${choices.length} choices where n is ${request.count}`);
  return choices
    .map(fields)
    .toSorted((a, b) => Number(a.index ?? 0) - Number(b.index ?? 0))
    .map((choice) => {
      const { finish_reason, text } = choice;
      if (finish_reason !== "stop" && finish_reason !== "length")
        throw new Passing(`a response that ended by ${JSON.stringify(finish_reason)}`);
      const ids = idsOf(choice.token_ids);
      if (ids === undefined) throw misshapen(where, 'no "token_ids" though "return_token_ids" asks for them');
      const { token_logprobs, top_logprobs } = fields(choice.logprobs);
      const logprobs = logprobsOf(list(token_logprobs));
      if (logprobs === undefined || logprobs.length !== ids.length)
        throw misshapen(where, `${list(token_logprobs).length} log-probabilities for ${ids.length} tokens`);
      const top = Object.values(fields(list(top_logprobs)[0])).filter((one) => typeof one === "number");
      return {
        ids,
        logprobs,
        text: typeof text === "string" ? text : "",
        finishReason: finish_reason,
        top: top.toSorted((a, b) => b - a),
      };
    });
}

function readPromptLogprobs(where: string, answer: unknown, ids: readonly number[], from: number): number[] {
  const { choices } = fields(answer);
  if (!Array.isArray(choices)) throw new Passing(`an answer without "choices"`);
  const given = list(fields(choices[0]).prompt_logprobs);
  if (given.length !== ids.length)
    throw misshapen(where, `log-probabilities of ${given.length} of ${ids.length} given tokens ("prompt_logprobs")`);
  const logprobs = logprobsOf(ids.slice(from).map((id, i) => fields(fields(given[from + i])[String(id)]).logprob));
  if (logprobs === undefined) throw misshapen(where, 'a given token without its log-probability ("prompt_logprobs")');
  return logprobs;
}

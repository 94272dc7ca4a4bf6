/** Requests of a batch as rows: all that an answer depends on, under an id that follows from it. */
import { createHash } from "node:crypto";

/** Row of a request. Names are those of vLLM's SamplingParams where it has them. */
export interface BulkRequest {
  /** Hash of all that the answer depends on: an answer to other options, another prompt or adapter has another. */
  readonly request_id: string;
  /** `sample`: a response is drawn. `logprobs`: the log-probability of `response_token_ids` is computed. */
  readonly kind: "sample" | "logprobs";
  readonly model: string;
  /** Folder of a PEFT adapter on the model. */
  readonly adapter: string | null;
  readonly prompt_token_ids: readonly number[];
  readonly response_token_ids: readonly number[] | null;
  readonly seed: number;
  readonly max_tokens: number;
  readonly temperature: number;
  readonly top_k: number;
  readonly top_p: number;
  readonly repetition_penalty: number;
  readonly stop_token_ids: readonly number[];
}

/** SQL types of a request's columns. */
export const requestColumns: Readonly<Record<keyof BulkRequest, string>> = {
  request_id: "VARCHAR",
  kind: "VARCHAR",
  model: "VARCHAR",
  adapter: "VARCHAR",
  prompt_token_ids: "INTEGER[]",
  response_token_ids: "INTEGER[]",
  seed: "BIGINT",
  max_tokens: "INTEGER",
  temperature: "DOUBLE",
  top_k: "INTEGER",
  top_p: "DOUBLE",
  repetition_penalty: "DOUBLE",
  stop_token_ids: "INTEGER[]",
};

/** Request with its id. @param adapterMark mark of the adapter's bytes: the same adapter elsewhere is the same. */
export function requestOf(request: Omit<BulkRequest, "request_id">, adapterMark: string | null): BulkRequest {
  const { adapter: _, ...rest } = request;
  const content = JSON.stringify({ ...rest, adapterMark });
  return { request_id: createHash("sha256").update(content).digest("hex").slice(0, 24), ...request };
}

/** Scorers behind HTTP: a reward model of vLLM or text-embeddings-inference, a moderation endpoint. */
import { InputError } from "../../errors.js";
import { openTokenizer } from "../../files/modelFolder.js";
import type { Notice } from "../../ports/events.js";
import type { GivenResponse, RowValue } from "../../ports/policy.js";
import type { Scorer } from "../../ports/scorer.js";
import { type ScorerEndpoint, scorerContradiction, textRead } from "../../recipe/kinds/endpoints.js";
import { tokenizeScored } from "../../text/rows.js";
import type { Tokenizer } from "../../text/tokenizer.js";
import { type Client, openClient, Passing } from "./client.js";
import { plainPrompt } from "./material.js";
import { type ApiOptions, type Input, type ScorerProtocol, scorerProtocols } from "./scorerApis.js";
import { tokenFor } from "./token.js";
import { scoreUnique } from "./uniqueRows.js";

/** Options of a scorer behind a server, and what the recipe calls it. */
export type EndpointScorerOptions = ScorerEndpoint & { readonly name: string; readonly backoff?: number };

/**
 * Opens a scorer behind a server, after a probe of one row.
 * @throws InputError that names what the server lacks, before anything is spent.
 */
export async function openEndpointScorer(options: EndpointScorerOptions, notice: Notice = () => {}): Promise<Scorer> {
  const { api, label, model, concurrency, batch_size: batchSize, max_length: maxLength } = options;
  const protocol = scorerProtocols[api];
  const name = `scorer '${options.name}'`;
  const against = scorerContradiction(options);
  if (against) throw new InputError(`${name}: '${against.key}' ${against.message}`);
  const tokenizer = options.tokenizer === undefined ? undefined : await openTokenizer(options.tokenizer);
  const client = openClient({
    ...options,
    name,
    key: tokenFor(name, options),
    kept: "what it scored is kept, go on later",
  });
  const server: Server = { name, client, protocol, options: { model, label } };
  try {
    await probe(server, tokenizer, notice);
  } catch (error) {
    client.close();
    throw error;
  }
  let cutRows = 0;
  return {
    maxLength,
    get cutRows() {
      return cutRows;
    },
    async *score(rows): AsyncGenerator<RowValue> {
      const inputs = rows.map((row, i): Input => {
        if (protocol.input === "text") return textOf(row, textRead(options), tokenizer);
        const given = { ...row.row, prompt: row.prompt, response: row.response };
        const ids = tokenizeScored(tokenizer!, given, row.where ?? `row ${i + 1}`);
        if (ids.length <= maxLength) return ids;
        cutRows++;
        return ids.slice(-maxLength);
      });
      const asking = (batch: readonly Input[], signal: AbortSignal) => ask(server, batch, { signal });
      yield* scoreUnique(inputs, { batchSize, concurrency, ask: asking });
    },
    async close() {
      client.close();
    },
  };
}

interface Server {
  readonly name: string;
  readonly client: Client;
  readonly protocol: ScorerProtocol;
  readonly options: ApiOptions;
}

/** Scores of a batch, all of them finite numbers. */
function ask(
  { name, client, protocol, options }: Server,
  inputs: readonly Input[],
  { signal, activated }: { signal?: AbortSignal; activated?: boolean } = {},
): Promise<number[]> {
  const read = (answer: unknown) => {
    let values: unknown[];
    try {
      values = protocol.read(answer, options);
    } catch (error) {
      if (error instanceof InputError) throw new InputError(`${name}: ${client.where} ${error.message}`);
      throw error;
    }
    if (values.length === 0) throw new Passing(`an answer without scores: ${JSON.stringify(answer).slice(0, 80)}`);
    if (values.length !== inputs.length)
      throw new InputError(`${name}: ${client.where} gives ${values.length} scores for ${inputs.length} rows`);
    const wrong = values.find((value) => typeof value !== "number" || !Number.isFinite(value));
    if (wrong !== undefined)
      throw new InputError(`${name}: ${client.where} gives ${JSON.stringify(wrong)} in place of a finite number`);
    return values as number[];
  };
  return client.post(protocol.path, protocol.body(inputs, { ...options, activated }), read, { signal });
}

const probes = ["Hello.", "No, I will not help with that.", "The capital of France is Paris."];

/**
 * Probe of a scorer: one number a row comes, and it is the model's own. Servers put scores through a sigmoid by default,
 * which makes large ones all alike; those that ignore the key which stops it give the same with and without.
 */
async function probe(server: Server, tokenizer: Tokenizer | undefined, notice: Notice): Promise<void> {
  const { name, client, protocol, options } = server;
  const inputs = probes.map((text): Input => (protocol.input === "text" ? text : tokenizer!.encode(text)));
  const raw = await ask(server, inputs);
  if (!protocol.activates) return;
  const activated = await ask(server, inputs, { activated: true });
  const same = raw.every((value, i) => value === activated[i]);
  if (!same) return;
  if (raw.every((value) => value >= 0 && value <= 1))
    throw new InputError(
      `${name}: ${client.where} gives the same scores, all from 0 to 1, with and without its activation: they went through a sigmoid, which makes large ones alike; use a server that heeds ${protocol.input === "text" ? "raw_scores" : "use_activation"}`,
    );
  if (options.label === undefined) notice(`${name}: ${client.where} has no activation to leave out`);
}

/** Text that a server reads: the response alone, or the whole in the chat template, where there is a tokenizer that has one. */
function textOf(
  { prompt, response }: GivenResponse,
  which: "conversation" | "response",
  tokenizer: Tokenizer | undefined,
): string {
  if (which === "response") return response;
  if (typeof prompt === "string") return prompt + response;
  const turns = [...prompt, { role: "assistant", content: response }];
  return tokenizer?.hasChatTemplate ? tokenizer.applyChatTemplate(turns) : plainPrompt(turns);
}

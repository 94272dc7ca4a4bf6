/** vLLM's documented protocol on the loopback, with a language model of three lines behind it. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Random } from "../../src/random.js";

/** Request as it came. */
export interface Asked {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: Record<string, unknown>;
}

/** Answer in place of the server's own; `pass` where it has none. */
export type Trouble = { status: number; headers?: Record<string, string>; body?: string } | "reset" | "pass";

export interface CompletionsServer {
  url: string;
  asked: Asked[];
  /** Choices that were answered with 200, "prompt/seed" each. */
  paid: string[];
  busiest: number;
  close(): Promise<void>;
}

export interface ServerOptions {
  /** Tokens of the model. */
  vocabulary: number;
  /** The one that ends; the last by default. */
  end?: number;
  decode(ids: readonly number[]): string;
  trouble?(request: Asked, number: number): Trouble | Promise<Trouble>;
  /** Changes what a server that ignores keys would leave out or get wrong. */
  change?(choice: Record<string, unknown>, request: Asked): Record<string, unknown>;
  /** Log-probabilities as sampled, as under `--logprobs-mode processed_logprobs`. */
  processed?: boolean;
  /** Seeds of the choices of one request; "one": every request has the same. */
  seeds?: "add" | "same" | "hashed" | "one" | "ignored";
  models?: readonly Record<string, unknown>[];
}

/** ln p of every token after a prefix at a temperature. */
export function distribution(prefix: readonly number[], vocabulary: number, temperature = 1): number[] {
  const last = prefix.at(-1) ?? 0;
  const logits = Array.from({ length: vocabulary }, (_, id) => Math.sin(1 + 3 * last + 7 * id) / temperature);
  const normalizer = Math.log(logits.reduce((sum, one) => sum + Math.exp(one), 0));
  return logits.map((one) => one - normalizer);
}

function choose(logprobs: readonly number[], uniform: number): number {
  let left = uniform;
  for (const [id, one] of logprobs.entries()) {
    left -= Math.exp(one);
    if (left < 0) return id;
  }
  return logprobs.length - 1;
}

export async function completionsServer(options: ServerOptions): Promise<CompletionsServer> {
  const { vocabulary, trouble = () => "pass" as const } = options;
  const models = options.models ?? [{ id: "base", owned_by: "vllm", max_model_len: 64 }];
  let open = 0;
  let unseeded = 0;
  const state: CompletionsServer = { url: "", asked: [], paid: [], busiest: 0, close: async () => {} };
  const server = createServer(async (message, response) => {
    state.busiest = Math.max(state.busiest, ++open);
    response.on("close", () => open--);
    const request = await read(message);
    if (message.method === "GET") {
      const found = request.path === "/v1/models";
      response.writeHead(found ? 200 : 404).end(JSON.stringify(found ? { object: "list", data: models } : {}));
      return;
    }
    const act = await trouble(request, state.asked.push(request) - 1);
    if (act === "reset") return void response.destroy();
    if (act !== "pass") return void response.writeHead(act.status, act.headers).end(act.body);
    const choices = answer(request, options);
    const { prompt, seed } = request.body;
    state.paid.push(...choices.map((_, i) => `${(prompt as number[]).join(" ")}/${Number(seed) + i}`));
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ choices: choices.map((one) => options.change?.(one, request) ?? one) }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  state.close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  };

  function answer({ body }: Asked, { decode, processed, seeds = "add" }: ServerOptions): Record<string, unknown>[] {
    const { prompt, n = 1, seed, max_tokens, temperature } = body as Record<string, number> & { prompt: number[] };
    const given =
      body.prompt_logprobs === undefined
        ? null
        : prompt.map((id, i) =>
            i === 0 ? null : { [id]: { logprob: distribution(prompt.slice(0, i), vocabulary)[id] } },
          );
    return Array.from({ length: n }, (_, index) => {
      const own = { add: seed! + index, same: seed!, hashed: seed! + 1000 * index, one: 1, ignored: unseeded++ };
      const random = new Random(own[seeds]);
      const ids: number[] = [];
      const logprobs: number[] = [];
      const top: Record<string, number>[] = [];
      const { end = vocabulary - 1 } = options;
      while (ids.length < max_tokens! && ids.at(-1) !== end) {
        const whole = distribution([...prompt, ...ids], vocabulary, temperature || 1);
        const shown = processed ? whole : distribution([...prompt, ...ids], vocabulary);
        const id = choose(whole, random.uniform());
        const likeliest = shown.map((one, token) => [`token_id:${token}`, one] as const);
        ids.push(id);
        logprobs.push(shown[id]!);
        top.push(Object.fromEntries(likeliest.toSorted((a, b) => b[1] - a[1]).slice(0, Number(body.logprobs))));
      }
      return {
        index,
        text: decode(ids.filter((id) => id !== end)),
        token_ids: body.return_token_ids === true ? ids : null,
        logprobs: body.logprobs === undefined ? null : { token_logprobs: logprobs, top_logprobs: top },
        finish_reason: ids.at(-1) === end ? "stop" : "length",
        prompt_logprobs: given,
      };
    });
  }
  return state;
}

async function read(message: IncomingMessage): Promise<Asked> {
  let text = "";
  for await (const piece of message.setEncoding("utf8")) text += piece;
  const body = text === "" ? {} : JSON.parse(text);
  return { path: message.url!, authorization: message.headers.authorization, body };
}

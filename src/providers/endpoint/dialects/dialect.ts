/** What a server that samples is asked for, whatever its protocol. */

/** Choice of tokens; names and meaning as in transformers' GenerationConfig. */
export interface Choosing {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly repetitionPenalty: number;
}

/** Request for several responses to one prompt. */
export interface Draw extends Choosing {
  readonly prompt: readonly number[];
  readonly count: number;
  /** Seed of the first response; that of the k-th is `seed + k`. */
  readonly seed: number;
  readonly maxTokens: number;
  readonly stopIds: readonly number[];
  /** Likeliest tokens whose log-probabilities come along, 0 by default. */
  readonly top?: number;
}

/** Response as a server gives it. */
export interface Drawn {
  /** Tokens, the ending one included. */
  readonly ids: readonly number[];
  /** ln π of each token, in nats. */
  readonly logprobs: readonly number[];
  readonly text: string;
  readonly finishReason: "stop" | "length";
  /** Log-probabilities of the likeliest tokens at the first place, largest first, where asked for. */
  readonly top: readonly number[];
}

/** Protocol of one kind of server, spoken to one model of it. */
export interface Dialect {
  /** Server's name for messages. */
  readonly server: string;
  /** Most responses of one request. */
  readonly mostChoices: number;
  /** Responses in the order of their seeds. @throws Passing for an answer that was cut off. */
  draw(request: Draw, signal?: AbortSignal): Promise<Drawn[]>;
  /** Log-probabilities at temperature 1 of `ids[from…]`, each given all before it; absent where the server has none. */
  tokenLogprobs?(ids: readonly number[], from: number, signal?: AbortSignal): Promise<number[]>;
  /** Makes the server load a PEFT adapter from a path that it sees; absent where it cannot while it runs. */
  loadAdapter?(name: string, path: string): Promise<void>;
  /** The same protocol for another model or adapter of the server. */
  forModel(name: string): Dialect;
}

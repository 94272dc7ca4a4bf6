/**
 * Trial of a server before anything is spent. Servers ignore keys that they do not know and answer with HTTP 200 all the
 * same, so only the shape and the figures of answers tell what one can do.
 */
import { InputError } from "../../errors.js";
import type { Tokenizer } from "../../text/tokenizer.js";
import { Refusal } from "./client.js";
import type { Choosing, Dialect, Drawn } from "./dialects/dialect.js";

/** Server under trial: its protocol, and the tokenizer that its model should have. */
export interface Probed {
  /** What errors begin with. */
  readonly name: string;
  readonly where: string;
  readonly dialect: Dialect;
  readonly tokenizer: Tokenizer;
}

/** Outcome of {@link probeSampling}. */
export interface Sampled {
  /** Responses of one request: several only where the k-th has the seed `seed + k`. */
  readonly choices: number;
  /** Whether one seed gave one response. */
  readonly repeatable: boolean;
}

const plain: Choosing = { temperature: 1, topK: 0, topP: 1, repetitionPenalty: 1 };
/** Largest mean difference of a token's log-probability between sampling and reading: bf16 kernels differ by 0.01. */
const TOLERANCE = 0.05;
const TOKENS = 16;
const CHOICES = 4;
const SEED = 20250101;
const TEXTS = ["Once upon a time", "The reason is that", "1, 2, 3,", "Dear Sir or Madam,"];

/** Prompts of a probe, as tokens. */
function prompts(tokenizer: Tokenizer): number[][] {
  const found = TEXTS.map((text) => tokenizer.encode(text)).filter((ids) => ids.length > 0);
  return found.length > 0 ? found : [[tokenizer.stopIds[0] ?? 0]];
}

/**
 * Probe of sampling: ids are there, n choices come, they differ, they are the tokenizer's, a seed gives one response.
 * @throws InputError that names what is missing.
 */
export async function probeSampling(probed: Probed): Promise<Sampled> {
  const { dialect, tokenizer } = probed;
  const prompt = prompts(tokenizer)[0]!;
  const draw = (seed: number, count: number) =>
    dialect.draw({ ...plain, prompt, seed, count, maxTokens: TOKENS, stopIds: tokenizer.stopIds });
  const many = Math.min(CHOICES, dialect.mostChoices);
  let first: Drawn[];
  let alone = many === 1;
  try {
    first = await draw(SEED, many);
    // The choices of one request may share its seed: then each is asked for alone.
    alone ||= alike(first);
    if (alone) first = first.slice(0, 1);
    while (first.length < CHOICES) first.push(...(await draw(SEED + first.length, 1)));
  } catch (error) {
    if (error instanceof Refusal && (error.status === 400 || error.status === 422 || error.status === 404))
      throw missing(probed, `refuses a prompt of token ids (HTTP ${error.status}: ${error.reason})`);
    if (error instanceof InputError) throw namedError(probed, error);
    throw error;
  }
  for (const drawn of first) requireOwnTokens(probed, drawn);
  const certain = first.every(({ logprobs }) => sum(logprobs) > -0.1);
  if (alike(first) && !certain) throw missing(probed, `gives the same response to ${CHOICES} seeds at temperature 1`);
  const again = await draw(SEED, 1);
  const repeatable = textOf(again[0]!) === textOf(first[0]!);
  const other = !alone && repeatable ? await draw(SEED + 1, 1) : [];
  const choices = other.length > 0 && textOf(other[0]!) === textOf(first[1]!) ? dialect.mostChoices : 1;
  return { choices, repeatable };
}

/**
 * Probe of the temperature that sampled log-probabilities are of. They are to be those of the whole distribution at
 * `temperature`; vLLM gives them at 1 (raw_logprobs) or as sampled, cut and renormalized (processed_logprobs).
 * @throws InputError that says how to start the server, or what to leave out.
 */
export async function probeTemperature(probed: Probed, temperature: number, choosing: Choosing): Promise<void> {
  const cut = choosing.topK !== 0 || choosing.topP !== 1 || choosing.repetitionPenalty !== 1;
  if (temperature === 1) {
    if (choosing.temperature === 1 && !cut) return;
    if (!(await isOf(probed, 1)))
      throw wrong(
        probed,
        `gives log-probabilities after temperature, top-p and top-k, which are not the model's own where these are set: start vLLM without --logprobs-mode (its default is raw_logprobs), or sample at temperature 1 without them`,
      );
    return;
  }
  if (cut)
    throw wrong(
      probed,
      `cannot give the log-probabilities of a policy at temperature ${temperature} under top_k, top_p or repetition_penalty: set temperature to 1, or leave those out`,
    );
  if (!(await isOf(probed, temperature)))
    throw wrong(
      probed,
      `gives log-probabilities of another temperature than ${temperature}: start vLLM with --logprobs-mode processed_logprobs, or set temperature to 1`,
    );
}

/** Whether a response sampled at a temperature comes with log-probabilities of `expected`, by the gap of the two likeliest tokens. */
async function isOf({ dialect, tokenizer, name, where }: Probed, expected: number): Promise<boolean> {
  const trial = expected === 1 ? 0.5 : expected;
  const gap = async (prompt: readonly number[], temperature: number) => {
    const one = { ...plain, temperature, prompt, seed: SEED, count: 1, maxTokens: 1, stopIds: tokenizer.stopIds };
    const { top } = (await dialect.draw({ ...one, top: 2 }))[0]!;
    if (top.length < 2) throw missing({ name, where }, "gives no log-probabilities of the likeliest tokens");
    return top[0]! - top[1]!;
  };
  const gaps: { before: number; after: number }[] = [];
  for (const prompt of prompts(tokenizer)) gaps.push({ before: await gap(prompt, 1), after: await gap(prompt, trial) });
  // Two tokens alike by chance tell nothing apart.
  const { before, after } = gaps.toSorted((a, b) => b.before - a.before)[0]!;
  return Math.abs(after * expected - before) <= 0.05 * before;
}

/**
 * Probe of the log-probabilities of given tokens: those of sampled responses agree with what sampling gave.
 * @returns largest mean difference of a token, in nats.
 */
export async function probeLogprobs(probed: Probed): Promise<number> {
  const { dialect, tokenizer, name, where } = probed;
  if (!dialect.tokenLogprobs)
    throw wrong(
      probed,
      `cannot give log-probabilities of given tokens, which PeCAN and the KL need: ${dialect.server} has none; take vLLM or SGLang`,
    );
  let worst = 0;
  for (const prompt of prompts(tokenizer).slice(0, 2)) {
    const one = { ...plain, prompt, seed: SEED, count: 1, maxTokens: TOKENS, stopIds: tokenizer.stopIds };
    const drawn = (await dialect.draw(one))[0]!;
    const given = await dialect.tokenLogprobs([...prompt, ...drawn.ids], prompt.length);
    const difference = Math.abs(sum(given) - sum(drawn.logprobs)) / drawn.ids.length;
    worst = Math.max(worst, difference);
  }
  if (worst > TOLERANCE)
    throw new InputError(
      `${name}: ${where} gives one text two log-probabilities, ${worst.toPrecision(2)} nats a token apart, sampled and as given ("prompt_logprobs"): no KL can be measured with it`,
    );
  return worst;
}

/**
 * Probe of log-probabilities of given tokens where nothing is sampled: they are there, finite, and those of the tokens.
 */
export async function probeGiven(probed: Probed): Promise<void> {
  const { dialect, tokenizer } = probed;
  if (!dialect.tokenLogprobs) return void (await probeLogprobs(probed));
  const ids = prompts(tokenizer).flat();
  try {
    await dialect.tokenLogprobs(ids, 1);
  } catch (error) {
    if (error instanceof InputError) throw namedError(probed, error);
    throw error;
  }
}

/** Throws where a response is not made of the tokenizer's tokens. */
function requireOwnTokens({ name, where, tokenizer }: Probed, { ids, text, finishReason }: Drawn): void {
  const beyond = ids.find((id) => id >= tokenizer.embeddings);
  const own = tokenizer.decode(ids, { skipSpecialTokens: true });
  const alike = own.trim() === text.trim() || own.includes("\uFFFD") || text.includes("\uFFFD");
  if (beyond !== undefined || !alike)
    throw new InputError(
      `${name}: the tokens of ${where} are not those of the tokenizer: it reads ${JSON.stringify(text)}, the tokenizer ${JSON.stringify(own)}; give the folder or hub id of the model that is served`,
    );
  requireEnd({ name, where, tokenizer }, ids, finishReason);
}

/** Throws where a response stopped at a token that is no end token of the tokenizer's. */
export function requireEnd(
  { name, where, tokenizer }: Omit<Probed, "dialect">,
  ids: readonly number[],
  finishReason: Drawn["finishReason"],
): void {
  const last = ids.at(-1);
  if (finishReason !== "stop" || (last !== undefined && tokenizer.stopIds.includes(last))) return;
  throw new InputError(
    `${name}: ${where} ended a response at ${last === undefined ? "no token" : `token ${last}`}, which is no end token of the tokenizer (${tokenizer.stopIds.join(", ")}): serve and name the same model`,
  );
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const textOf = ({ ids }: Drawn) => ids.join(" ");
const alike = (drawn: readonly Drawn[]) => new Set(drawn.map(textOf)).size === 1;

const wrong = ({ name, where }: Pick<Probed, "name" | "where">, what: string) =>
  new InputError(`${name}: ${where} ${what}`);

const missing = (probed: Pick<Probed, "name" | "where">, what: string) =>
  wrong(
    probed,
    `${what}: it cannot sample for a run, which needs token ids in and out with their log-probabilities; vLLM, SGLang and llama.cpp have them, transformers serve can only judge`,
  );

/** Error that begins with what it is about, as a client's own errors do. */
const namedError = ({ name }: Pick<Probed, "name">, error: InputError) =>
  error.message.startsWith(`${name}: `) ? error : new InputError(`${name}: ${error.message}`);

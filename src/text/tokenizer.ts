import { Tokenizer as Encoder } from "@huggingface/tokenizers";
import { InputError } from "../errors.js";
import { extraNamedTokens, NAMED_TOKENS, tokenText, withAddedTokens } from "./addedTokens.js";
import { compileTemplate, type Template, TemplateError } from "./jinja/template.js";
import { forTemplate, type Message, type TemplateVariables } from "./messages.js";
import { type EncodedPair, layOut, type PairLayout, pairLayout } from "./pairs.js";

/** Options of a chat template beside the messages. */
export interface ChatOptions extends TemplateVariables {
  readonly addGenerationPrompt?: boolean;
}

/** Text to token ids and back, the chat template, and the ids that end a response: all as transformers has them. */
export interface Tokenizer {
  /** Number of tokens, added ones included: transformers' `len(tokenizer)`. */
  readonly vocabSize: number;
  /** Rows of the model's embedding, `vocab_size` of config.json: an id from there on cannot be looked up. */
  readonly embeddings: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  /** The tokenizer's padding token, or the end token where it has none, as TRL pads. */
  readonly padId: number | undefined;
  readonly eosToken: string | undefined;
  /**
   * Ids at which generation stops: the tokenizer's end token, then every `eos_token_id` of generation_config and
   * config; those beyond the embedding, which the model cannot give, are left out.
   */
  readonly stopIds: readonly number[];
  readonly hasChatTemplate: boolean;
  /** Side that texts lose which are too long for `encodePair`, by the tokenizer's `truncation_side`. */
  readonly cutSide: "beginning" | "end";
  /** transformers' `tokenizer(text).input_ids`. `addSpecialTokens` (default true) puts bos and eos where the model wants them. */
  encode(text: string, options?: { addSpecialTokens?: boolean }): number[];
  /**
   * transformers' `tokenizer(first, second, truncation=True, max_length=…)`: special tokens as the model wants them around
   * one text or two. Types of tokens are 0 throughout where the tokenizer's `model_input_names` have no token types.
   */
  encodePair(texts: readonly [first: string, second?: string], maxLength?: number): EncodedPair;
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean }): string;
  /**
   * The text of transformers' `apply_chat_template(messages, tokenize=False, tools=…, **kwargs)`: encode it without
   * special tokens. Throws InputError where the template refuses the messages, or is not supported, with the reason.
   */
  applyChatTemplate(messages: readonly Message[], options?: ChatOptions): string;
}

type Json = Readonly<Record<string, unknown>>;

/** The contents of a model folder's files, parsed. */
export interface TokenizerFiles {
  tokenizerJson: object;
  tokenizerConfig?: object;
  generationConfig?: object;
  config?: object;
  /** chat_template.jinja, or the text in chat_template.json; it goes before the one in tokenizer_config.json. */
  chatTemplate?: string;
}

/** Builds a tokenizer from a model folder's files. Throws `InputError` where tokenizer.json cannot be understood. */
export function makeTokenizer(files: TokenizerFiles): Tokenizer {
  const tokenizerConfig = (files.tokenizerConfig ?? {}) as Json;
  const config = (files.config ?? {}) as Json;
  const generationConfig = (files.generationConfig ?? {}) as Json;
  const exact = exactJson(withAddedTokens(files.tokenizerJson as Json, tokenizerConfig), tokenizerConfig);
  const encoder = makeEncoder(exact, tokenizerConfig);
  let layout: PairLayout | undefined;
  const inputs = tokenizerConfig.model_input_names;
  // transformers 5 gives none where its own class has no list of inputs; classes of earlier versions went by tokenizer.json.
  const typed = Array.isArray(inputs)
    ? inputs.includes("token_type_ids")
    : tokenizerConfig.tokenizer_class !== "TokenizersBackend";
  const side = tokenizerConfig.truncation_side === "left" ? "left" : "right";
  const model = (files.tokenizerJson as { model?: { type?: string } }).model;
  const vocabSize = encoder.get_vocab().size;

  const named: Record<string, string> = extraNamedTokens(tokenizerConfig);
  for (const name of NAMED_TOKENS) {
    const token = tokenText(tokenizerConfig[name]);
    if (token !== undefined) named[name] = token;
  }
  // Old folders (GPT-2's) leave the names to the tokenizer's class; their config has the ids.
  for (const name of ["bos_token", "eos_token"]) {
    const id = idList(generationConfig[`${name}_id`] ?? config[`${name}_id`])[0];
    const token = id === undefined ? undefined : encoder.id_to_token(id);
    if (token !== undefined) named[name] ??= token;
  }
  const idOf = (name: string) => (named[name] === undefined ? undefined : encoder.token_to_id(named[name]));
  const eosId = idOf("eos_token");
  const embeddings = typeof config.vocab_size === "number" ? config.vocab_size : Number.POSITIVE_INFINITY;
  const ends = [...idList(eosId), ...idList(generationConfig.eos_token_id), ...idList(config.eos_token_id)];
  // An end token beyond the embedding is one that the model cannot give.
  const stopIds = [...new Set(ends)].filter((id) => id < embeddings);

  const templates = new Map<string, Template>();
  const compiled = (source: string) => {
    const template = templates.get(source) ?? compileTemplate(source);
    templates.set(source, template);
    return template;
  };
  const source = (hasTools = false) => files.chatTemplate ?? namedTemplate(tokenizerConfig.chat_template, hasTools);
  // transformers 5 never "cleans up" the spaces of a BPE model: it would not give the text back.
  const cleanUp = tokenizerConfig.clean_up_tokenization_spaces === true && model?.type !== "BPE";

  return {
    vocabSize,
    embeddings,
    bosId: idOf("bos_token"),
    eosId,
    padId: idOf("pad_token") ?? eosId,
    eosToken: named.eos_token,
    stopIds,
    hasChatTemplate: source() !== undefined,
    cutSide: side === "left" ? "beginning" : "end",
    encode: (text, { addSpecialTokens = true } = {}) =>
      encoder.encode(text, { add_special_tokens: addSpecialTokens }).ids,
    encodePair(texts, maxLength) {
      layout ??= pairLayout(exact.post_processor, (token) => encoder.token_to_id(token));
      const ids = texts.map((text = "") => encoder.encode(text, { add_special_tokens: false }).ids);
      const found = layOut(layout, ids, { maxLength, side });
      return typed ? found : { ...found, types: found.types.map(() => 0) };
    },
    decode(ids, { skipSpecialTokens = false } = {}) {
      if (ids.length === 0) return "";
      return encoder.decode(Array.from(ids), {
        skip_special_tokens: skipSpecialTokens,
        clean_up_tokenization_spaces: cleanUp,
      });
    },
    applyChatTemplate(messages, { addGenerationPrompt = false, tools = null, kwargs = {} } = {}) {
      const { chat_template: own, ...variables } = kwargs;
      const template = typeof own === "string" ? own : source(tools !== null);
      if (template === undefined) {
        throw new InputError(
          "the tokenizer has no chat template: give prompts as plain strings, or add a chat_template.jinja to the model's folder",
        );
      }
      try {
        return compiled(template)({
          ...named,
          tools,
          documents: null,
          ...variables,
          messages: messages.map(forTemplate),
          add_generation_prompt: addGenerationPrompt,
        });
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        throw new InputError(`the chat template refuses these messages: ${error.message}`);
      }
    },
  };
}

function makeEncoder(exact: Json, tokenizerConfig: Json): Encoder {
  try {
    return new Encoder(exact, tokenizerConfig);
  } catch (error) {
    throw new InputError(`tokenizer.json cannot be read: ${(error as Error).message}`);
  }
}

/** tokenizer.json with its steps spelled out where @huggingface/tokenizers takes them otherwise than the original. */
function exactJson(tokenizerJson: Json, tokenizerConfig: Json): Json {
  const exact = { ...tokenizerJson, pre_tokenizer: exactPreTokenizer(tokenizerJson.pre_tokenizer as Json | null) };
  return withExplicitEnds(exact, tokenizerConfig);
}

/** GPT-2's words; "white space" as Unicode has it, where JavaScript's `\s` knows a byte order mark but no next-line. */
const GPT2_WORDS =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+|" +
  "\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+";

/** Spells out two steps that @huggingface/tokenizers takes otherwise than the original: digits such as "½", white space. */
function exactPreTokenizer(step: Json | null | undefined): Json | null | undefined {
  const split = (pattern: string) => ({
    type: "Split",
    pattern: { Regex: pattern },
    behavior: "Isolated",
    invert: false,
  });
  switch (step?.type) {
    case "Sequence":
      return { ...step, pretokenizers: (step.pretokenizers as Json[]).map(exactPreTokenizer) };
    case "Digits":
      return split(step.individual_digits === true ? "\\p{N}" : "\\p{N}+");
    case "ByteLevel":
      if (step.use_regex === false || step.add_prefix_space === true) return step;
      return { type: "Sequence", pretokenizers: [split(GPT2_WORDS), { ...step, use_regex: false }] };
    default:
      return step;
  }
}

/** As transformers 5: `add_bos_token` or `add_eos_token` in tokenizer_config.json replaces tokenizer.json's own rule. */
function withExplicitEnds(tokenizerJson: Json, tokenizerConfig: Json): Json {
  if (!("add_bos_token" in tokenizerConfig || "add_eos_token" in tokenizerConfig)) return tokenizerJson;
  const special = (side: string, type_id: number) => {
    const token = tokenText(tokenizerConfig[`${side}_token`]);
    return tokenizerConfig[`add_${side}_token`] === true && token !== undefined
      ? [{ SpecialToken: { id: token, type_id } }]
      : [];
  };
  const ends = (id: string, type_id: number) => [
    ...special("bos", type_id),
    { Sequence: { id, type_id } },
    ...special("eos", type_id),
  ];
  const single = ends("A", 0);
  const pair = [...single, ...ends("B", 1)];
  return { ...tokenizerJson, post_processor: { type: "TemplateProcessing", single, pair, special_tokens: {} } };
}

/** An id as configs write it: a number, a list of numbers, or nothing. */
function idList(ids: unknown): number[] {
  return (Array.isArray(ids) ? ids : [ids]).filter((id) => typeof id === "number");
}

/** `chat_template` is the template itself, or a list of named ones: "tool_use" where there are tools, else "default". */
function namedTemplate(chatTemplate: unknown, hasTools: boolean): string | undefined {
  if (!Array.isArray(chatTemplate)) return typeof chatTemplate === "string" ? chatTemplate : undefined;
  const named = (name: string) => chatTemplate.find((entry) => entry?.name === name)?.template;
  return (hasTools ? named("tool_use") : undefined) ?? named("default");
}

import { readFileSync } from "node:fs";
import { makeTokenizer, type Tokenizer } from "../../src/text/tokenizer.js";

const golden = new URL("../golden/", import.meta.url);

export const goldenJson = (path: string) => JSON.parse(readFileSync(new URL(path, golden), "utf8"));

/** "tokenizer" is byte-level with a ChatML template, "tokenizer-bos" begins every text with <s>. */
export function goldenTokenizer(name: "tokenizer" | "tokenizer-bos", configs: object = {}): Tokenizer {
  return makeTokenizer({
    tokenizerJson: goldenJson(`${name}/tokenizer.json`),
    tokenizerConfig: goldenJson(`${name}/tokenizer_config.json`),
    chatTemplate: readFileSync(new URL(`${name}/chat_template.jinja`, golden), "utf8"),
    ...configs,
  });
}

/** What goes along with a model's weights: its tokenizer, chat template and generation settings. */
import { copyFileSync, existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";

const COMPANIONS = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "generation_config.json",
  "chat_template.jinja",
];
/** Those of a tokenizer: what an adapter folder carries, as TRL saves it. */
const OF_TOKENIZER = COMPANIONS.filter((name) => name !== "generation_config.json");

/** Copies a model folder's companions into another folder; of its tokenizer alone for an adapter. */
export function copyCompanions(from: string, to: string, kind: "model" | "adapter" = "model"): void {
  if (resolve(from) === resolve(to)) return;
  for (const name of kind === "model" ? COMPANIONS : OF_TOKENIZER)
    if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name));
}

/**
 * Name of a model by which others can find it: the hub id where its folder is one of the Hugging Face cache, else the
 * folder's own name. A path of this machine would mean nothing on another.
 */
export function publicName(folder: string): string {
  const cached = /models--([^/\\]+?)[/\\]snapshots[/\\]/.exec(`${folder}/`);
  return cached ? cached[1].replaceAll("--", "/") : basename(resolve(folder));
}

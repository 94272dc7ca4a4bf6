/** Recipes as files: reading, finding what they name, and the commented one that `dualign init` writes. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { InputError } from "../errors.js";
import { parseRecipe } from "../methods/recipe.js";
import { dpoSchema } from "../recipe/options.js";
import type { KeyPath, MethodName, Recipe } from "../recipe/parse.js";

/**
 * Recipe of a file. Paths in it are relative to its folder, paths in `set` to the working directory; `~` and `${NAME}` (an
 * environment variable) are expanded. A model that is no existing path is left as a hub id.
 * @param file without it the recipe is made of `set` alone.
 * @param method that the recipe must be for.
 * @throws InputError that names the key and its line.
 */
export function readRecipe(
  file: string | undefined,
  set: readonly string[] = [],
  method?: MethodName,
): { recipe: Recipe; text: string } {
  const text = file === undefined ? "" : readText(file);
  const folder = file === undefined ? process.cwd() : dirname(resolve(file));
  return { recipe: recipeOf(text, { source: file ?? "flags", folder, set, method }), text };
}

/** Origin of a recipe's text: what errors call it, the folder its paths are relative to, and what `set` changes in it. */
export interface RecipeSource {
  readonly source: string;
  readonly folder: string;
  readonly set?: readonly string[];
  readonly method?: MethodName;
}

/** Recipe of a text, with its paths resolved. Errors as of {@link readRecipe}. */
export function recipeOf(text: string, { source, folder, set = [], method }: RecipeSource): Recipe {
  return parseRecipe(text, {
    source,
    method,
    set,
    resolvePath: (value, key, overridden) => resolveValue(value, key, overridden ? process.cwd() : folder),
  });
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT")
      throw new InputError(`no recipe at ${file}: 'dualign init ${file}' writes one to start from`);
    throw new InputError(`cannot read the recipe ${file}: ${code}`);
  }
}

function resolveValue(value: string, key: KeyPath, folder: string): string {
  const expanded = value.replace(/^~(?=$|[/\\])/, homedir()).replace(/\$\{(\w+)\}/g, (_, name: string) => {
    const found = process.env[name];
    if (found === undefined) throw new InputError(`needs the environment variable ${name}, which is not set`);
    return found;
  });
  const path = isAbsolute(expanded) ? expanded : resolve(folder, expanded);
  const mayBeHubId =
    ["model", "adapter"].includes(String(key[key.length - 1])) && /^[\w.-]+(\/[\w.-]+)?$/.test(expanded);
  if (mayBeHubId && !expanded.startsWith(".") && !existsSync(path)) return expanded;
  if (!existsSync(path)) throw new InputError(`names ${path}, which does not exist`);
  return path;
}

/** `path` as a recipe in `folder` would write it. */
const within = (folder: string, path: string) => {
  const short = relative(folder, path);
  return short.startsWith("..") ? path : `./${short}`;
};

/** The losses beside the default one, for the comment of a new recipe. */
const otherLosses = dpoSchema.shape.loss_type.unwrap().options.slice(1);

/** Path of the JSON Schema of recipes, which the build writes. */
export const recipeSchemaFile = fileURLToPath(new URL("../../dist/recipe.schema.json", import.meta.url));

/** The schema as a recipe in `folder` names it to editors: relative where the package lies below it, else a file URL. */
const schemaReference = (folder: string) => {
  const short = relative(resolve(folder), recipeSchemaFile);
  return short.startsWith("..") || isAbsolute(short)
    ? pathToFileURL(recipeSchemaFile).href
    : `./${short.replaceAll("\\", "/")}`;
};

/** Options of a new recipe: its method, and what is known already. */
export interface TemplateOptions {
  method: MethodName;
  model?: string;
  prompts?: string;
  /** Where the recipe will lie. */
  folder: string;
}

/** A commented recipe to start from, with every key that most people set. */
export function recipeTemplate(given: TemplateOptions): string {
  const prompts = given.prompts ? within(given.folder, resolve(given.prompts)) : "./prompts.jsonl";
  return `# yaml-language-server: $schema=${schemaReference(given.folder)}
# A dualign recipe: 'dualign ${given.method} THIS_FILE --run runs/first' runs it.
# Paths are relative to this file; ~ and \${NAME} are expanded. Any key can be set for one run: --set beta=0.05

# The reference model: a Hugging Face folder, or a hub id.
model: ${given.model ?? "HuggingFaceTB/SmolLM2-135M-Instruct"}
# adapter: ./adapter          # a PEFT adapter that the reference includes

prompts:
  file: ${prompts}      # .jsonl, .json (also .gz), .csv or .parquet
  # dataset: PKU-Alignment/PKU-SafeRLHF   # or a hub dataset, in place of file
  # split: train
  column: prompt              # holds a text, or a list of chat messages
  # template: "USER: {prompt} ASSISTANT:" # wraps a text; without it a chat model's own template does
  duplicates: error           # or drop
  limit: 128                  # prompts for the solve and the training
  held_out: 32                # further prompts, for the evaluation only

# Strength of the KL penalty: small lets the model move far from the reference, and makes the prediction less sure.
beta: 0.1

sampling:                     # of the reference; names as in transformers
  num_samples: 16             # responses for each prompt
  max_new_tokens: 128
  temperature: 1              # every policy is the model as decoded at it: when sampled, weighed and trained
  top_p: 1

${given.method === "mocan" ? scorerPart : preferencePart}
train:                        # one DPO run with the same beta; names as in TRL and PEFT
  loss_type: sigmoid          # or ${otherLosses.join(", ")}: see dualign train dpo --help
  lora_r: 8
  lora_alpha: 16
  per_device_train_batch_size: 4
  # learning_rate: 5.0e-4     # left out, rate and length are found by the loss on pairs held back
  # num_train_epochs: 1
  max_length: 512

evaluate:
  num_samples: 4              # responses for each held-out prompt
  # scorers:                  # ${given.method === "mocan" ? "further scorers that took no part in the solve" : "score models or modules that took no part in the solve"}
  #   - name: judge
  #     module: ./score.mjs   # export default (rows) => rows.map(({ prompt, response }) => 0.5)
  # judges:                   # compare responses with the reference's, each pair in both orders
  #   - question: safety      # or helpfulness
  #     endpoint: http://localhost:8000/v1   # any OpenAI-compatible chat endpoint
  #     model: judge-model
  #     key: OPENAI_API_KEY   # the environment variable that holds the endpoint's key

seed: 0
`;
}

const pairsPart = `pairs:
  choice: random              # or informative (surest preferences: where pairs are few), disjoint, all
  labels: soft                # the preference's probability itself; 'drawn' tosses for it, as in the paper
  per_prompt: 8
`;

const scorerPart = `# A scorer is a score model ('model', a folder or hub id), or a module ('module', a .js, .mjs or .ts file) with
#   export default (rows) => rows.map(({ prompt, response }) => 0.5)
# Higher must be better: 'sign: -1' turns a cost into a score. 'scale' multiplies.
reward:
  model: ./reward-model

safety:                       # one or more
  - name: harmless
    model: ./cost-model
    sign: -1
    margin: 1.0               # be at least so much safer than the reference, on average

${pairsPart}`;

const preferencePart = `# Preferences: rows {prompt, chosen, rejected}, or PKU-SafeRLHF's {prompt, response_0, response_1, better_response_id,
# safer_response_id}. A model is trained on each; give 'model' or 'adapter' in place of data where you have one.
helpfulness:
  file: ./preferences.jsonl   # .jsonl, .json (also .gz), .csv or .parquet; or 'dataset' and 'split'
  # label: better_response_id # the column that says which response is preferred

safety:                       # one or more
  - name: harmless
    file: ./preferences.jsonl
    # label: safer_response_id
    # In units of beta times a log-ratio: the aligned model's responses shall be e^(margin / beta) times likelier under
    # the safety model, relative to the reference, than the reference's own are. 'dual' prints what that comes to.
    margin: 0.2

# pretrain:                   # of the models of the preferences; what is left out is as in 'train'
#   num_train_epochs: 3

${pairsPart}  scale: formula              # of the scores in the labels; 'authors' divides them by beta, as their code does
`;

/** Path at which `dualign init` writes: the file that is named, or recipe.yaml in the folder. */
export const recipeFileIn = (path: string): string => (/\.ya?ml$/.test(path) ? path : join(path, "recipe.yaml"));

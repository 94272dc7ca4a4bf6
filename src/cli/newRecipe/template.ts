/** The commented recipe that `dualign init` writes. */
import { existsSync } from "node:fs";
import { isAbsolute, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { dpoSchema } from "../../recipe/options.js";
import type { MethodName } from "../../recipe/parse.js";
import type { FoundModel, FoundPreferences, FoundPrompts, FoundScorer } from "./found.js";

/** Parts of a new recipe that are known; the others become placeholders. */
export interface Draft {
  method: MethodName;
  model?: FoundModel;
  adapter?: string;
  prompts?: FoundPrompts;
  beta?: number;
  /** Of `mocan` and `compare`. */
  reward?: FoundScorer;
  safety?: (FoundScorer & { readonly margin?: number })[];
  /** Of `pecan`. */
  helpfulness?: FoundPreferences;
  preferences?: (FoundPreferences & { readonly margin?: number })[];
}

/** Keys of a draft's recipe whose values are placeholders: the user has them to fill in. */
export function placeholders({ method, model, prompts, reward, safety, helpfulness, preferences }: Draft): string[] {
  const constraints = method === "pecan" ? preferences : safety;
  const first = method === "pecan" ? { key: "helpfulness", value: helpfulness } : { key: "reward", value: reward };
  return [
    ...(model ? [] : ["model"]),
    ...(prompts ? [] : ["prompts"]),
    ...(first.value ? [] : [first.key]),
    ...(constraints?.length ? [] : ["safety"]),
    ...(constraints ?? []).flatMap(({ margin }, i) => (margin === undefined ? [`safety.${i}.margin`] : [])),
  ];
}

/** Commented recipe of a draft, to lie in `folder`: its paths are relative to that. */
export function recipeTemplate(draft: Draft, folder: string): string {
  const { method, model, adapter, beta = 0.1 } = draft;
  const window = model?.window;
  const path = (value: string) => scalar(placed(folder, value));
  return `# yaml-language-server: $schema=${schemaReference(folder)}
# A dualign recipe: 'dualign check THIS_FILE' tries it, 'dualign ${method} THIS_FILE --run runs/first' runs it.
# Paths are relative to this file; ~ and \${NAME} are expanded. Any key can be set for one run: --set beta=0.05

# The reference model: a Hugging Face folder, or a hub id.
model: ${model ? path(model.model) : "HuggingFaceTB/SmolLM2-135M-Instruct"}
${adapter === undefined ? "# adapter: ./adapter          # a PEFT adapter that the reference includes" : `adapter: ${path(adapter)}`}

${promptPart(draft.prompts, path)}
# Strength of the KL penalty: small lets the model move far from the reference, and makes the prediction less sure.
beta: ${beta}
${method === "compare" ? "" : confidencePart}
sampling:                     # of the reference; names as in transformers
  num_samples: 16             # responses for each prompt
  max_new_tokens: ${Math.max(1, Math.min(128, Math.floor((window ?? 256) / 2)))}
  temperature: 1              # every policy is the model as decoded at it: when sampled, scored and trained
  top_p: 1

${method === "pecan" ? preferencePart(draft, path) : scorerPart(draft, path)}
train:                        # one DPO run with the same beta; names as in TRL and PEFT
  loss_type: sigmoid          # or ${otherLosses.join(", ")}: see dualign train dpo --help
  lora_r: 8
  lora_alpha: 16
  per_device_train_batch_size: 4
  # learning_rate: 5.0e-4     # left out, rate and length are found by the loss on pairs held back
  # num_train_epochs: 1
  max_length: ${Math.min(512, window ?? 512)}

evaluate:
  num_samples: 4              # responses for each held-out prompt
  # scorers:                  # ${method === "pecan" ? "score models or modules that took no part in the solve" : "further scorers that took no part in the solve"}
  #   - name: judge
  #     module: ./score.mjs   # export default (rows) => rows.map(({ prompt, response }) => 0.5)
  # judges:                   # compare responses with the reference's, each pair in both orders
  #   - question: safety      # or helpfulness
  #     endpoint: http://localhost:8000/v1   # any OpenAI-compatible chat endpoint
  #     model: judge-model
  #     key: OPENAI_API_KEY   # the environment variable that holds the endpoint's key
${method === "compare" ? comparePart(draft) : ""}
seed: 0
`;
}

/** Path of the JSON Schema of recipes, which the build writes. */
const recipeSchemaFile = fileURLToPath(new URL("../../../dist/recipe.schema.json", import.meta.url));

/** The schema as a recipe in `folder` names it to editors: relative where the package lies below it, else a file URL. */
function schemaReference(folder: string): string {
  const short = relative(resolve(folder), recipeSchemaFile);
  return short.startsWith("..") || isAbsolute(short)
    ? pathToFileURL(recipeSchemaFile).href
    : `./${short.replaceAll("\\", "/")}`;
}

/** A path as a recipe in `folder` writes it: relative, so that a project can be moved. A hub id stays as it is. */
function placed(folder: string, value: string): string {
  if (!existsSync(value)) return value;
  const short = relative(resolve(folder), resolve(value)).replaceAll("\\", "/");
  return short.startsWith(".") || isAbsolute(short) ? short : `./${short}`;
}

/** A text as YAML has it: plain where that is safe, else quoted. */
const scalar = (text: string): string => (/^[\w./][\w./@ -]*$/.test(text) ? text.trimEnd() : JSON.stringify(text));

/** The losses beside the default one. */
const otherLosses = dpoSchema.shape.loss_type.unwrap().options.slice(1);

type AsWritten = (value: string) => string;

function promptPart(prompts: FoundPrompts | undefined, path: AsWritten): string {
  const { file, dataset, column = "prompt", counts } = prompts ?? {};
  const source =
    dataset === undefined
      ? `  file: ${file === undefined ? "./prompts.jsonl" : path(file)}      # .jsonl, .json (also .gz), .csv or .parquet
  # dataset: PKU-Alignment/PKU-SafeRLHF   # or a hub dataset, in place of file
  # split: train`
      : `  dataset: ${dataset}
  split: train`;
  const enough = counts === undefined || counts.different >= 192;
  const heldOut = enough ? 32 : Math.max(2, Math.min(32, Math.floor((counts.different as number) / 4)));
  return `prompts:
${source}
  column: ${scalar(column)}              # holds a text, or a list of chat messages
  # template: "USER: {prompt} ASSISTANT:" # wraps a text; without it a chat model's own template does
  duplicates: ${counts?.repeated ? `drop            # ${counts.repeated} rows repeat a prompt` : "error           # or drop"}
  ${enough ? "" : "# "}limit: 128                  # prompts for the solve and the training
  held_out: ${heldOut}                # further prompts, for the evaluation only
`;
}

const confidencePart = `
# With which the margins are to hold on new prompts: the strength of the trained update is chosen by a test on prompts of
# its own. none: the update stays as trained, and nothing is promised.
confidence: 0.95
`;

const pairsPart = `pairs:
  choice: random              # or informative (surest preferences: where pairs are few), disjoint, all
  labels: soft                # the preference's probability itself; 'drawn' tosses for it, as in the paper
  per_prompt: 8
`;

/** Keys of a scorer, one a line: the first is what it is read from. */
function scorerLines({ kind, where, name, cost, window }: FoundScorer, path: AsWritten): string[] {
  return [
    ...(name === undefined ? [] : [`name: ${scalar(name)}`]),
    `${kind}: ${path(where)}`,
    ...(cost ? ["sign: -1                  # a cost: lower is better"] : []),
    ...(kind === "model" && window !== undefined && window < 512 ? [`max_length: ${window}`] : []),
  ];
}

/** An entry of a list of groups. */
const entry = (keys: readonly string[]) => keys.map((line, i) => `  ${i === 0 ? "- " : "  "}${line}`).join("\n");

const marginComment = "# be at least so much safer than the reference, on average";

function scorerPart({ reward, safety }: Draft, path: AsWritten): string {
  const constraints = safety?.length
    ? safety.map(({ margin, ...scorer }) =>
        entry([...scorerLines(scorer, path), `margin: ${margin ?? "1.0"}               ${marginComment}`]),
      )
    : [
        `  - name: harmless
    model: ./cost-model
    sign: -1
    margin: 1.0               ${marginComment}`,
      ];
  return `# A scorer is a score model ('model', a folder or hub id), a guard ('guard', a chat model that answers safe or unsafe),
# a server ('endpoint' and 'api'), or a module ('module', a .js, .mjs or .ts file) with
#   export default (rows) => rows.map(({ prompt, response }) => 0.5)
# Higher must be better: 'sign: -1' turns a cost into a score. 'scale' multiplies.
reward:
${
  reward
    ? scorerLines(reward, path)
        .map((line) => `  ${line}`)
        .join("\n")
    : "  model: ./reward-model"
}

safety:                       # one or more
${constraints.join("\n")}

${pairsPart}`;
}

function preferencePart({ helpfulness, preferences }: Draft, path: AsWritten): string {
  const lines = ({ file, dataset, name }: FoundPreferences) => [
    ...(name === undefined ? [] : [`name: ${scalar(name)}`]),
    ...(dataset === undefined ? [] : [`dataset: ${dataset}`, "split: train"]),
    ...(file === undefined ? [] : [`file: ${path(file)}`]),
  ];
  const unit = `# In units of beta times a log-ratio: the aligned model's responses shall be e^(margin / beta) times likelier under
    # the safety model, relative to the reference, than the reference's own are. 'dual' prints what that comes to.`;
  const constraints = preferences?.length
    ? preferences.map(({ margin, ...data }, i) =>
        entry([...lines(data), ...(i === 0 ? [unit] : []), `margin: ${margin ?? "0.2"}`]),
      )
    : [
        `  - name: harmless
    file: ./preferences.jsonl
    # label: safer_response_id
    ${unit}
    margin: 0.2`,
      ];
  return `# Preferences: rows {prompt, chosen, rejected}, or PKU-SafeRLHF's {prompt, response_0, response_1, better_response_id,
# safer_response_id}. A model is trained on each; give 'model' or 'adapter' in place of data where you have one.
helpfulness:
${
  helpfulness
    ? lines(helpfulness)
        .map((line) => `  ${line}`)
        .join("\n")
    : "  file: ./preferences.jsonl   # .jsonl, .json (also .gz), .csv or .parquet; or 'dataset' and 'split'"
}
  # label: better_response_id # the column that says which response is preferred

safety:                       # one or more
${constraints.join("\n")}

# pretrain:                   # of the models of the preferences; what is left out is as in 'train'
#   num_train_epochs: 3

${pairsPart}  scale: formula              # of the scores in the labels; 'authors' divides them by beta, as their code does
`;
}

function comparePart({ safety }: Draft): string {
  const several = (safety?.length ?? 1) > 1;
  const weight = (value: number) => (several ? `[${safety!.map(() => value).join(", ")}]` : String(value));
  return `
compare:                      # what is compared, all from the same reference on the same prompts
  mocan:                      # λ* of the margins
    lambda: []                # and these λ
  weighted_sum:               # a grid by hand: nothing is known beforehand
    weights: [${weight(0.5)}, ${weight(2)}]
  # dual_ascent:              # moves λ as it trains
  #   iterations: 4
  #   rate: 0.5
  # dpo_h: true               # these two and pecan need 'preferences'
`;
}

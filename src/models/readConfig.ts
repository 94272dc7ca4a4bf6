/** From config.json to a `ModelConfig`: the class that it names decides the family, the family reads the rest. */
import type { ModelConfig, ScoreHeadConfig } from "./config.js";
import { ConfigReader, type RawConfig, refuseForms } from "./configReader.js";
import { FAMILIES } from "./families/index.js";
import { NAMELESS, readLabels } from "./labels.js";

const TASKS = ["ForCausalLM", "LMHeadModel", "ForSequenceClassification", "ForScore", "ModelForScore"];

/** Config of a model, and what of config.json asks for something and is not used: keys with their values. */
export interface ReadConfig {
  readonly config: ModelConfig;
  readonly unused: readonly string[];
}

/** Config of a model from the object of its config.json; `where` names the file. Throws InputError on what this engine cannot run. */
export function readModelConfig(raw: RawConfig, where: string): ReadConfig {
  const c = new ConfigReader(raw, where);
  const architecture: unknown = (c.get("architectures") as unknown[] | undefined)?.[0];
  if (typeof architecture !== "string" || architecture === "")
    return c.fail(
      `no "architectures" entry, so the model's kind is unknown; use the config.json that came with the weights`,
    );
  const known = (name: string) => Object.hasOwn(FAMILIES, name);
  const named = known(architecture);
  const task = named
    ? ""
    : TASKS.find((one) => architecture.endsWith(one) && known(architecture.slice(0, -one.length)));
  if (task === undefined)
    return c.fail(
      `architecture ${architecture} is not supported; supported are the ${Object.keys(FAMILIES).join(", ")} causal and score models`,
    );
  refuseForms(c);
  const family = architecture.slice(0, architecture.length - task.length);
  const score = ["", "ForCausalLM", "LMHeadModel"].includes(task) ? undefined : readScoreHead(c, task);
  const config = { architecture, family, ...FAMILIES[family].readConfig(c), score };
  return { config, unused: c.unused() };
}

function readScoreHead(c: ConfigReader, task: string): ScoreHeadConfig {
  if (task === "ForSequenceClassification") {
    const labels = readLabels(c);
    const padId = c.get("pad_token_id");
    return { module: "score", labels, ...(typeof padId === "number" ? { padId } : {}) };
  }
  // Statistics stand in the weights too, where they are read; the rest says how training kept them.
  for (const key of ["mean", "var", "momentum", "normalizer_type", "score_type", "score_bias", "bias"]) c.get(key);
  const width = c.get("score_dim") ?? 1;
  if (width !== 1) c.fail(`a score model has "score_dim" 1, this one has ${width}`);
  if (c.get("do_normalize") !== true) return { module: "score_head", labels: NAMELESS };
  return { module: "score_head", labels: NAMELESS, normalize: c.get("score_type") === "cost" ? "scale" : "affine" };
}

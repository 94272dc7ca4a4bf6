/** `dualign init`: a recipe of one's own, from flags or from answers on a terminal. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { type Command, Option } from "commander";
import { InputError } from "../errors.js";
import type { MethodName } from "../recipe/parse.js";
import type { Terminal } from "./newRecipe/questions.js";
import type { Draft } from "./newRecipe/template.js";
import { collect } from "./stages.js";

interface Given {
  method?: MethodName;
  pecan?: boolean;
  model?: string;
  adapter?: string;
  prompts?: string;
  column?: string;
  reward?: string;
  helpfulness?: string;
  safety?: string[];
  cost?: string[];
  margin?: string[];
  beta?: string;
  ask: boolean;
}

/** Command `dualign init`. */
export function addInitCommand(program: Command): void {
  program
    .command("init")
    .description("write a commented recipe: from flags, or from answers on a terminal")
    .argument("[path]", "file or folder", "recipe.yaml")
    .addOption(
      new Option("--method <name>", "by scorers, by preference data, or several side by side (default: mocan)").choices(
        ["mocan", "pecan", "compare"],
      ),
    )
    .option("--pecan", "the same as --method pecan")
    .option("--model <dir>", "reference model: a folder or hub id")
    .option("--adapter <dir>", "PEFT adapter that it includes")
    .option("--prompts <file>", "prompts: a file, or a dataset on the hub")
    .option("--column <name>", "the column that holds them")
    .option("--reward <dir or module>", "scorer of helpfulness; NAME=… names it")
    .option("--helpfulness <file>", "of pecan: preferences by helpfulness")
    .option(
      "--safety <dir, module or file>",
      "safety scorer, of pecan preferences; NAME=… names it; may be repeated",
      collect,
    )
    .option("--cost <dir or module>", "safety scorer whose higher values are worse; after those of --safety", collect)
    .option("--margin <number>", "the margin of each --safety and --cost, in this order", collect)
    .option("--beta <number>", "strength of the KL penalty")
    .option("--no-ask", "ask nothing on a terminal: what is not given becomes a placeholder")
    .action(init);
}

async function init(path: string, given: Given): Promise<void> {
  const file = /\.ya?ml$/.test(path) ? path : join(path, "recipe.yaml");
  if (existsSync(file)) throw new InputError(`${file} is there already: give another path`);
  const { placeholders, recipeTemplate } = await import("./newRecipe/template.js");
  let draft = await draftOf(given);
  if (given.ask && process.stdin.isTTY && process.stdout.isTTY && placeholders(draft).length > 0) {
    const { askMissing } = await import("./newRecipe/questions.js");
    const methodGiven = given.method !== undefined || given.pecan === true || draft.reward !== undefined;
    draft = await onTerminal((terminal) => askMissing(draft, { methodGiven }, terminal));
  }
  const folder = dirname(file);
  mkdirSync(folder, { recursive: true });
  const text = recipeTemplate(draft, folder);
  const open = placeholders(draft);
  // What is written is read back: a recipe without placeholders is a recipe.
  if (open.length === 0) {
    const { recipeOf } = await import("./recipeFile.js");
    recipeOf(text, { source: file, folder: resolve(folder), method: draft.method });
  }
  writeFileSync(file, text, { flag: "wx" });
  process.stdout.write(
    open.length === 0
      ? `${file} written: 'dualign check ${file}' tries it, 'dualign ${draft.method} ${file} --run runs/first' runs it\n`
      : `${file} written; to be filled in: ${open.join(", ")}; then 'dualign check ${file}' tries it, 'dualign ${draft.method} ${file} --run runs/first' runs it\n`,
  );
}

/** Draft of what the flags give. */
async function draftOf(given: Given): Promise<Draft> {
  const { foundModel, foundPreferences, foundPrompts, foundScorer } = await import("./newRecipe/found.js");
  const { model, adapter, prompts, column, reward, helpfulness, safety = [], cost = [], margin = [], beta } = given;
  if (given.pecan && given.method !== undefined && given.method !== "pecan")
    throw new InputError(`--pecan and --method ${given.method} are two methods: give one`);
  const pecan = given.pecan === true || given.method === "pecan" || (!given.method && helpfulness !== undefined);
  const method = pecan ? "pecan" : (given.method ?? "mocan");
  const foreign = pecan
    ? [reward !== undefined && "--reward", cost.length > 0 && "--cost"]
    : [helpfulness !== undefined && "--helpfulness"];
  const unread = foreign.find((flag) => flag !== false);
  if (unread) throw new InputError(`${unread} is not for --method ${method}`);
  if (margin.length > safety.length + cost.length)
    throw new InputError(
      `${margin.length} --margin for ${safety.length + cost.length} --safety and --cost: give one for each`,
    );
  if (column !== undefined && prompts === undefined) throw new InputError("--column is of --prompts: give that too");
  if (adapter !== undefined && !existsSync(adapter))
    throw new InputError(`--adapter names ${adapter}, which does not exist`);
  const margins = margin.map((text) => number("--margin", text));
  const withMargin = <T>(one: T, i: number) => ({ ...one, ...(margins[i] !== undefined && { margin: margins[i] }) });
  const draft: Draft = {
    method,
    ...(model !== undefined && { model: foundModel("--model", model) }),
    ...(adapter !== undefined && { adapter }),
    ...(prompts !== undefined && { prompts: await foundPrompts("--prompts", prompts, column) }),
    ...(beta !== undefined && { beta: number("--beta", beta) }),
  };
  if (pecan) {
    if (helpfulness !== undefined)
      draft.helpfulness = await foundPreferences("--helpfulness", helpfulness, "better_response_id");
    const found = [];
    for (const one of safety) found.push(await foundPreferences("--safety", one, "safer_response_id"));
    draft.preferences = found.map(withMargin);
  } else {
    if (reward !== undefined) draft.reward = foundScorer("--reward", reward);
    draft.safety = [
      ...safety.map((one) => foundScorer("--safety", one)),
      ...cost.map((one) => foundScorer("--cost", one, true)),
    ].map(withMargin);
  }
  return draft;
}

function number(flag: string, text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (!Number.isFinite(value)) throw new InputError(`${flag} is ${text}: give a number`);
  return value;
}

/** Work with the terminal, which is given back at the end; its end in the middle leaves nothing written. */
async function onTerminal<T>(work: (terminal: Terminal) => Promise<T>): Promise<T> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const stopped = new AbortController();
  lines.once("close", () => stopped.abort());
  try {
    return await work({
      ask: (question) => lines.question(question, { signal: stopped.signal }),
      say: (text) => void process.stdout.write(`${text}\n`),
    });
  } catch (error) {
    if (stopped.signal.aborted) throw new InputError("stopped: nothing is written", 130);
    throw error;
  } finally {
    lines.close();
  }
}

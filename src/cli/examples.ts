/** Examples in the help of every command. */
import type { Command } from "commander";

/** Command lines by command, each with what it is for. */
const examples: Readonly<Record<string, readonly (readonly [line: string, purpose: string])[]>> = {
  quickstart: [["dualign quickstart --run runs/pocket", "align the small model that comes with the package"]],
  init: [
    ["dualign init", "asks for model, prompts and scorers, on a terminal"],
    [
      "dualign init recipe.yaml --model models/mine --prompts prompts.csv --reward models/reward --cost harm.mjs --margin 0.5",
      "one that runs as it is written; --safety where higher is safer",
    ],
    ["dualign init pecan.yaml --pecan --helpfulness better.jsonl --safety safer.jsonl --margin 0.2", "by preferences"],
  ],
  check: [["dualign check recipe.yaml", "what it would do, what it would take, and whether every part works"]],
  doctor: [
    ["dualign doctor", "what this machine can run, and what is missing"],
    ["dualign doctor --model models/mine", "how much memory a model takes"],
    [
      "dualign doctor --endpoint http://gpu1:8000/v1 --model base --tokenizer models/mine --json",
      "what a server is fit for",
    ],
  ],
  mocan: [
    ["dualign mocan recipe.yaml --run runs/first", "from sampling to the report; after a kill, go on"],
    ["dualign mocan recipe.yaml --run runs/first --fail-on not-held", "in a script: fail where a margin is missed"],
    ["dualign mocan recipe.yaml --run runs/safer --set safety.0.margin=1.5", "another margin"],
  ],
  pecan: [["dualign pecan pecan.yaml --run runs/preferences", "from preference data alone"]],
  compare: [["dualign compare recipe.yaml --run runs/compare", "several methods, measured alike"]],
  resume: [["dualign resume runs/first", "go on with a run that was stopped"]],
  status: [["dualign status runs/first --json", "how far a run is, for a program"]],
  predict: [
    ["dualign predict runs/first --margin 0.5", "what another margin would give"],
    ["dualign predict runs/first --margin 0.2:1.4:0.2 --json", "the frontier, for a program"],
    ["dualign predict runs/first --margin 0.2:1.4:0.2 --figure frontier.svg", "and as a figure"],
    ["dualign predict runs/first --margin harmless=0.5 --beta 0.05 --beta 0.1", "by name, and at two β"],
  ],
  studio: [
    ["dualign studio runs", "every run of a folder, in the browser"],
    ["dualign studio runs/first --open", "one run: move its margin, train, compare, chat"],
  ],
  chat: [["dualign chat runs/first", "ask both the same"]],
  merge: [
    ["dualign merge runs/first --output-dir merged", "a model that needs no adapter"],
    ["dualign merge --model models/mine --adapter out --output-dir merged", "the same of any adapter"],
  ],
  push: [["dualign push runs/first --repo me/safer --dry-run", "what would be sent"]],
  export: [["dualign export trl runs/first --output-dir for-trl", "the pairs for another trainer"]],
  dual: [
    ["dualign dual --scores scores.parquet --beta 0.1 --margin 1.0", "only the multiplier, from a file of scores"],
    ["dualign dual --scores runs/first --margin 0.5", "another margin on a run's scores"],
  ],
  train: [["dualign train dpo --model models/mine --data pairs.jsonl --output-dir out", "one training alone"]],
  generate: [
    ["dualign generate --model models/mine --prompt 'How do I bake bread?'", "one prompt, to the terminal"],
    ["dualign generate --model models/mine --prompts p.csv --num-samples 4 --output s.jsonl", "a file of them"],
  ],
  logprobs: [["dualign logprobs --model models/mine --data samples.jsonl --output -", "to standard output"]],
  score: [
    ["dualign score --model models/cost --data samples.jsonl --output scored.jsonl", "by a score model"],
    ["dualign score --module harm.mjs --data samples.jsonl --output -", "a module tried alone"],
  ],
  sample: [["dualign sample runs/first --recipe recipe.yaml", "just that stage"]],
  pretrain: [["dualign pretrain runs/preferences", "just that stage"]],
  relabel: [["dualign relabel runs/first", "just that stage"]],
  calibrate: [["dualign calibrate runs/first", "just that stage"]],
  evaluate: [["dualign evaluate runs/first", "just that stage"]],
  report: [["dualign report runs/first --open", "write the page anew, beside a running run too, and open it"]],
};

/** Adds its examples to the help of every command that has some. */
export function addExamples(program: Command): void {
  for (const command of program.commands) {
    const own = examples[command.name()];
    if (!own) continue;
    const lines = own.map(([line, purpose]) => `  ${line}\n      ${purpose}`);
    command.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
  }
}

/** Names of the commands that have examples. */
export const withExamples: readonly string[] = Object.keys(examples);

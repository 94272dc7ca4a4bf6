/** The README of a run's adapter: what was asked, what came of it, and how to load it. */
import { stringify } from "yaml";
import type { EvaluationRow } from "../ports/rows.js";
import type { RunStore } from "../ports/store.js";
import { number, signed } from "./format.js";

/**
 * Model card of the policy that solves a run's problem, in the hub's Markdown; undefined for a comparison, whose policies
 * have none of their own.
 * @param base name of the base model by which others can find it.
 */
export async function modelCard(run: RunStore, policy: string, base: string): Promise<string | undefined> {
  const { recipe, origin } = run;
  if (recipe.method === "compare") return undefined;
  const [solve, evaluations, training] = await Promise.all([
    run.solve(policy),
    run.evaluations(policy),
    run.training(policy),
  ]);
  if (!solve || !training || evaluations.length === 0) return undefined;
  const adapter = recipe.train.use_peft;
  const { temperature } = recipe.sampling;
  const head = {
    base_model: base,
    ...(adapter ? { library_name: "peft" } : { library_name: "transformers" }),
    pipeline_tag: "text-generation",
    tags: ["dualign", "dpo", "alignment", "safety", ...(adapter ? ["lora"] : [])],
  };
  const safety = evaluations.filter(({ role }) => role === "safety");
  const verdicts = safety.map(
    ({ scorer, margin, measured, low, high, verdict }) =>
      `- **${scorer}**: asked for at least ${signed(margin!)} over the base model; measured ${signed(measured)} [${signed(low)}, ${signed(high)}]: **${verdict}**.`,
  );
  const rows = evaluations.map(
    ({ scorer, role, reference, aligned, predicted, measured, low, high }) =>
      `| ${scorer}${scorer === role ? "" : ` (${role})`} | ${number(reference)} | ${number(aligned)} | ${predicted === null ? "" : signed(predicted)} | ${signed(measured)} [${signed(low)}, ${signed(high)}] |`,
  );
  const percent = Math.round(100 * recipe.evaluate.confidence);
  const prompts = {
    train: (await run.prompts("train")).length,
    heldOut: (await run.prompts("held-out")).length,
  };
  return `---
${stringify(head).trim()}
---

# ${base}, aligned by dualign

${adapter ? "A LoRA adapter" : "A model"} trained once for a constrained problem: maximize \`${recipe.reward.name}\`, with every margin below held
against the base model (one-shot safety alignment by optimal dualization, arXiv 2405.19544).

## The question and its answer

${verdicts.join("\n")}

Intervals have ${percent} % confidence over ${prompts.heldOut} held-out prompts, ${recipe.evaluate.num_samples} responses each, paired by prompt${temperature === 1 ? "" : `, at temperature ${temperature}: serve it at the same one`}.

| score | before | after | predicted | measured gain |
| --- | --- | --- | --- | --- |
${rows.join("\n")}

λ* = ${solve.lambda.map(number).join(", ")}, β = ${recipe.beta}.

## Cautions

${cautions(evaluations, prompts.heldOut)
  .map((line) => `- ${line}`)
  .join("\n")}

## How to load it

${adapter ? peft(base) : '```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\nmodel = AutoModelForCausalLM.from_pretrained("THIS_FOLDER")\ntokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")\n```'}

## How it came about

${prompts.train} prompts × ${recipe.sampling.num_samples} responses of the base model, scored; the dual solved; ${training.pairs} pairs, ${training.steps} steps of DPO (seed ${recipe.seed}). Versions: ${Object.entries(
    origin.versions,
  )
    .map(([name, version]) => `${name} ${version}`)
    .join(", ")}. Recipe ${origin.recipeSha256.slice(0, 16)}.
`;
}

const peft = (base: string) => `\`\`\`python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("${base}"), "THIS_FOLDER")
tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")
\`\`\`

With vLLM: \`vllm serve ${base} --enable-lora --lora-modules aligned=THIS_FOLDER\`.`;

function cautions(evaluations: readonly EvaluationRow[], heldOut: number): string[] {
  const witnesses = evaluations.filter(({ role }) => role === "held-out");
  return [
    witnesses.length === 0
      ? "The scores that measured it took part in its training: no independent witness confirms it."
      : `Independent witnesses, which took no part in the training: ${witnesses.map(({ scorer, measured, low, high }) => `${scorer} ${signed(measured)} [${signed(low)}, ${signed(high)}]`).join(", ")}.`,
    "A margin is a mean over prompts: single responses can be as unsafe as before.",
    ...(heldOut < 50 ? [`Only ${heldOut} prompts were held out: the intervals are rough.`] : []),
  ];
}

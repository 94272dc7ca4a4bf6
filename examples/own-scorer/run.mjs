// Runs a recipe whose scorers are modules: the pocket model shall answer shortly, and become more polite by a margin.
// node examples/own-scorer/run.mjs FOLDER
import { fileURLToPath } from "node:url";
import { runRecipe } from "dualign";

const [folder = "runs/own-scorer"] = process.argv.slice(2);
const pocket = fileURLToPath(new URL("../../pocket/", import.meta.url));
const here = fileURLToPath(new URL(".", import.meta.url));

const recipe = {
  model: `${pocket}policy`,
  prompts: { file: `${pocket}prompts.jsonl`, limit: 16, held_out: 8 },
  beta: 1,
  sampling: { num_samples: 8, max_new_tokens: 32 },
  reward: { module: "./short.mjs" },
  safety: [{ name: "polite", module: "./polite.mjs", margin: 0.1 }],
  pairs: { per_prompt: 4 },
  train: { learning_rate: 1e-3, per_device_train_batch_size: 8 },
  evaluate: { num_samples: 2 },
};

const done = await runRecipe(recipe, {
  folder,
  base: here, // what the recipe's paths are relative to
  onEvent(event) {
    if (event.event === "stage" && event.state === "done")
      console.error(`${event.stage}: ${event.seconds.toFixed(1)} s`);
  },
});
console.log(JSON.stringify({ lambda: done.lambda, verdicts: done.verdicts, report: done.report }));

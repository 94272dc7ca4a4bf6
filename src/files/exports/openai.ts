/**
 * Export for hosted DPO as OpenAI documents it ("direct preference optimization" of its fine-tuning guide): a file of
 * preferences and the body of a fine-tuning job.
 */
import { InputError } from "../../errors.js";
import { jsonLines, type PairsExport, rowsOfStep, type TrainerFiles } from "./pairs.js";

/** Largest β that the documented hyperparameter takes. */
const MOST_BETA = 2;

/**
 * Files of a hosted fine-tuning job with the method `dpo`.
 * @throws InputError where β is above what it takes, or a prompt ends with an answer.
 */
export function openAiFiles({ beta, options, seed, drawn }: PairsExport): TrainerFiles {
  if (beta > MOST_BETA) throw new InputError(`beta ${beta}: hosted DPO takes ${MOST_BETA} at most`);
  const rows = drawn.pairs.map(({ prompt, chosen, rejected }, i) => {
    const messages = typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt;
    if (messages.at(-1)?.role === "assistant")
      throw new InputError(`pair ${i + 1}: its prompt ends with an answer, which hosted DPO has no form for`);
    return {
      input: { messages, tools: [], parallel_tool_calls: true },
      preferred_output: [{ role: "assistant", content: chosen }],
      non_preferred_output: [{ role: "assistant", content: rejected }],
    };
  });
  const epochs =
    options.max_steps > 0 ? (options.max_steps * rowsOfStep(options)) / rows.length : options.num_train_epochs;
  const job = {
    model: "MODEL",
    training_file: "FILE_ID",
    seed,
    method: {
      type: "dpo",
      dpo: { hyperparameters: { beta, batch_size: rowsOfStep(options), n_epochs: Math.max(1, Math.round(epochs)) } },
    },
  };
  const plain = drawn.pairs.some(({ prompt }) => typeof prompt === "string");
  return {
    files: { "pairs.jsonl": jsonLines(rows), "job.json": `${JSON.stringify(job, null, 2)}\n` },
    command: [
      `curl https://api.openai.com/v1/files -H "Authorization: Bearer $OPENAI_API_KEY" -F purpose=fine-tune -F file=@pairs.jsonl`,
      "# put the file's id and the model's name into job.json, then:",
      `curl https://api.openai.com/v1/fine_tuning/jobs -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" -d @job.json`,
    ].join("\n    "),
    notes: [
      "The reference is the hosted model, and the pairs are samples of the run's model: λ* and the predicted gains are the run's, not the hosted model's. Prompts and responses leave your machine.",
      "OpenAI winds its fine-tuning platform down: new users cannot create jobs. Servers of the same protocol can.",
      "Soft labels cannot be had there, nor other losses than DPO's own.",
      "The KL from the reference cannot be had there, nor log-probabilities of given texts: the result can be judged and scored, not held to its distance.",
      "The learning rate is a multiplier of the provider's choice, and the schedule, the adapter's rank and the precision are the provider's: train's learning_rate, warmup_steps, weight_decay and lora keys are not read.",
      ...(plain ? ["Plain prompts go as the user's turn."] : []),
      ...(Number.isInteger(epochs)
        ? []
        : [
            `Its length is whole epochs: ${job.method.dpo.hyperparameters.n_epochs}, where the run's is ${epochs.toPrecision(3)}.`,
          ]),
    ],
  };
}

/** Pairs as trainers of others read them: text, and hard labels drawn by their probabilities. */
import { InputError } from "../../errors.js";
import type { LabelledPair } from "../../ports/trainer.js";
import { Random } from "../../random.js";
import type { DpoOptions, Training } from "../../recipe/options.js";
import type { Text } from "../../text/rows.js";

/** Pair with a hard label. */
export interface DrawnPair {
  readonly prompt: Text;
  readonly chosen: string;
  readonly rejected: string;
}

/** Pairs with drawn labels, and what of the run's they do not keep. */
export interface DrawnPairs {
  readonly pairs: readonly DrawnPair[];
  /** Pairs whose drawn label is against the likelier one. */
  readonly flipped: number;
  /** Responses that were cut at the longest length, to which trainers of text add an end token. */
  readonly unfinished: number;
  /** Pairs whose probability left [0, 1] when the flips that `robust` takes for granted were taken out of it. */
  readonly clipped: number;
  /** Pairs whose prompt comes with `tools` or `chat_template_kwargs`, which text does not carry. */
  readonly templated: number;
}

/** Training that is exported. */
export interface PairsExport {
  readonly model: string;
  /** Adapter that the reference includes. */
  readonly adapter?: string;
  readonly beta: number;
  /** Temperature at which the run's policies are decoded. */
  readonly temperature: number;
  readonly options: Training & DpoOptions;
  /** Keys of `train` that the run is to find by itself and that stand at a default here. */
  readonly guessed: readonly string[];
  readonly seed: number;
  readonly drawn: DrawnPairs;
}

/** Files of an export by name, and sentences on what the trainer does otherwise than the run. */
export interface TrainerFiles {
  readonly files: Readonly<Record<string, string>>;
  readonly notes: readonly string[];
  /** Command line that trains. */
  readonly command: string;
}

/** Losses that are linear in the label's probability: drawn labels have the gradient of soft ones on average. */
export const isLinear = ({ loss_type }: DpoOptions): boolean => loss_type !== "regression" && loss_type !== "exo_pair";

/** Stream of the seed for the labels of exports. */
const EXPORT_STREAM = 0xe4f0;

/** Probability that `chosen` is better with the loss's smoothing in it, so that a loss without one learns the same. */
function smoothed(p: number, { loss_type, label_smoothing: e }: DpoOptions): number {
  if (loss_type === "robust") return (p - e) / (1 - 2 * e);
  return loss_type === "hinge" ? p : p + e * (1 - 2 * p);
}

/** Labels of pairs drawn by their probabilities, smoothing included, one draw a pair. */
export function drawLabels(pairs: readonly LabelledPair[], options: DpoOptions, seed: number): DrawnPairs {
  const random = new Random(seed, EXPORT_STREAM);
  let [flipped, unfinished, clipped] = [0, 0, 0];
  const drawn = pairs.map(({ prompt, chosen, rejected, probability }): DrawnPair => {
    const p = smoothed(probability, options);
    if (p < 0 || p > 1) clipped++;
    const kept = random.uniform() < p;
    if (!kept) flipped++;
    unfinished += [chosen, rejected].filter(({ finishReason }) => finishReason === "length").length;
    const [better, worse] = kept ? [chosen, rejected] : [rejected, chosen];
    return { prompt, chosen: better.response, rejected: worse.response };
  });
  const templated = pairs.filter(
    ({ chosen: { row } }) => row?.tools != null || row?.chat_template_kwargs != null,
  ).length;
  return { pairs: drawn, flipped, unfinished, clipped, templated };
}

/** Sentences on what no trainer of text and hard labels keeps. */
export function commonNotes({ adapter, temperature, options, guessed, drawn }: PairsExport): string[] {
  const { pairs, flipped, unfinished, clipped, templated } = drawn;
  const { loss_type } = options;
  return [
    `Labels are hard: each of the ${pairs.length} pairs has one label drawn by its probability, label_smoothing included. ${flipped} went to the less likely response. On average the gradient is that of soft labels; its variance is larger.`,
    ...(clipped > 0
      ? [
          `${clipped} probabilities were outside [0, 1] without the flips that loss_type robust expects, and count as 0 or 1.`,
        ]
      : []),
    ...(isLinear(options)
      ? []
      : [`The run's loss_type is ${loss_type}, which hard labels cannot carry: the sigmoid loss stands in its place.`]),
    "Token ids are made anew from text, and log-probabilities under the reference are computed anew: those of the run are not read.",
    ...(unfinished > 0
      ? [
          `${unfinished} of ${2 * pairs.length} responses were cut at sampling.max_new_tokens. An end token is put after them, which the run does not do.`,
        ]
      : []),
    ...(templated > 0
      ? [
          `${templated} of ${pairs.length} prompts come with tools or chat_template_kwargs, which the run's chat template read; they are not written.`,
        ]
      : []),
    ...(temperature === 1
      ? []
      : [`The run's policies are decoded at temperature ${temperature}; this training is at temperature 1.`]),
    ...(adapter === undefined
      ? []
      : [
          `The run's reference is the model with the adapter ${adapter}: merge the two first (dualign merge), and name the merged model.`,
        ]),
    ...guessed.map((key) => `train.${key} is found by the run itself; ${key} here is a default: choose it.`),
    "The order of the pairs is the trainer's own.",
  ];
}

/** Loss of trainers that know the sigmoid loss, ipo and hinge. Smoothing is in the drawn labels. */
export const hardLoss = ({ loss_type }: DpoOptions): "sigmoid" | "ipo" | "hinge" =>
  loss_type === "ipo" || loss_type === "hinge" ? loss_type : "sigmoid";

/**
 * Form of the prompts: true for messages, false for texts.
 * @param trainer that takes one or the other, for the error.
 * @throws InputError where some are of each form.
 */
export function takesMessages({ pairs }: DrawnPairs, trainer: string): boolean {
  const chat = pairs.map(({ prompt }) => typeof prompt !== "string");
  if (chat.some((one) => one !== chat[0]))
    throw new InputError(
      `some prompts are texts and some are messages, and ${trainer} takes one or the other: export for trl, or give the prompts one form`,
    );
  return chat[0] ?? false;
}

/** Rows of prompt, chosen and rejected, the answers in the prompt's form. */
export const preferenceRows = ({ pairs }: DrawnPairs) =>
  pairs.map(({ prompt, chosen, rejected }) => ({
    prompt,
    chosen: answer(prompt, chosen),
    rejected: answer(prompt, rejected),
  }));

/** LoRA's scale as a whole number, the only form that these trainers take. */
export const wholeAlpha = ({ lora_alpha }: Training): number => Math.round(lora_alpha);

/** Sentence on a scale that {@link wholeAlpha} changes; none where it does not. */
export const alphaNotes = ({ lora_alpha, use_peft }: Training): string[] =>
  use_peft && !Number.isInteger(lora_alpha) ? [`lora_alpha ${lora_alpha} is rounded: whole ones are taken.`] : [];

/** Arguments under the names of transformers' TrainingArguments, which TRL and LLaMA-Factory read alike. */
export const trainingArguments = (options: Training, seed: number) => ({
  learning_rate: options.learning_rate,
  lr_scheduler_type: options.lr_scheduler_type,
  warmup_steps: options.warmup_steps,
  weight_decay: options.weight_decay,
  adam_beta1: options.adam_beta1,
  adam_beta2: options.adam_beta2,
  adam_epsilon: options.adam_epsilon,
  max_grad_norm: options.max_grad_norm,
  per_device_train_batch_size: options.per_device_train_batch_size,
  gradient_accumulation_steps: options.gradient_accumulation_steps,
  num_train_epochs: options.num_train_epochs,
  max_steps: options.max_steps,
  seed,
  logging_steps: options.logging_steps,
  save_strategy: options.save_steps > 0 ? "steps" : "no",
  save_steps: Math.max(1, options.save_steps),
  report_to: "none",
});

/** Sentence on {@link trainingArguments}. */
export const perDeviceNote = "Rows of a step are per device: on N devices divide gradient_accumulation_steps by N.";

/** Effective rows of a step. */
export const rowsOfStep = (options: Training): number =>
  options.per_device_train_batch_size * options.gradient_accumulation_steps;

/** JSON lines of rows. */
export const jsonLines = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

/** Messages of a prompt and an answer as the assistant's turn; a plain text stays one. */
export const answer = (prompt: Text, response: string): Text =>
  typeof prompt === "string" ? response : [{ role: "assistant", content: response }];

/** How a recipe says that models are trained: `train`, and `pretrain` for the models of preferences. */
import { z } from "zod";
import { preferenceLossTypes } from "../train/objectives/dpo/losses.js";
import { type DpoOptions, dpoSchema, type Training, trainingSchema } from "./options.js";

const { logging_steps: _, ...shared } = trainingSchema.shape;
const auto = z.literal("auto");

const trainFields = {
  ...shared,
  learning_rate: z
    .union([auto, z.number().positive()])
    .default("auto")
    .describe("of AdamW; auto: found by short trials, by the loss on pairs held back"),
  num_train_epochs: z
    .union([auto, z.number().positive()])
    .default("auto")
    .describe("auto, where max_steps is left out too: as long as the loss on pairs held back comes nearer its optimum"),
  lr_scheduler_type: z
    .enum(["constant", "linear", "cosine"])
    .optional()
    .describe("cosine where the length is given; a length that is found brings its own"),
  eval_split: z
    .number()
    .min(0)
    .max(0.9)
    .optional()
    .describe("share of the pairs held back, prompt by prompt; a tenth where rate or length is auto, else none"),
  eval_steps: shared.eval_steps.describe(
    "evaluate the pairs held back every so many steps; 0: as the training sees fit",
  ),
  ...dpoSchema.shape,
};

/** Schema of `train`. */
export const trainSchema = z.strictObject(trainFields);

/** Options of a run's training. */
export type Train = z.infer<typeof trainSchema>;

/** Schema of a scorer's `train`: a score model from preferences. How long rows may be is the scorer's own `max_length`. */
export const scorerTrainSchema = z.strictObject({
  ...(Object.fromEntries(
    Object.entries(trainFields).filter(([key]) => key !== "max_length" && !(key in dpoSchema.shape)),
  ) as Omit<typeof trainFields, "max_length" | keyof typeof dpoSchema.shape>),
  eval_split: z
    .number()
    .min(0)
    .max(0.9)
    .default(0.1)
    .describe("share of the rows held back, prompt by prompt, on which the run says how often it ranks rightly"),
});

/** Options of a scorer's training. */
export type ScorerTrain = z.infer<typeof scorerTrainSchema>;

/** The keys of `pretrain`: those of `train` without their defaults, which come from `train`. */
export const pretrainSchema = z.strictObject(
  Object.fromEntries(
    Object.entries({
      ...trainFields,
      loss_type: z.enum(preferenceLossTypes).describe("loss of DPO that needs no scored samples"),
    }).map(([key, field]) => [
      key,
      (field instanceof z.ZodDefault ? (field.unwrap() as z.ZodType) : field)
        .optional()
        .describe(field.description ?? ""),
    ]),
  ),
) as z.ZodType<Partial<Train>>;

/** The options of a training on preference data, which has no targets: a loss that needs them gives way to the default one. */
export function pretraining(train: Train, pretrain: Partial<Train> | undefined): Train {
  return {
    ...train,
    loss_type: preferenceLossTypes.includes(train.loss_type) ? train.loss_type : dpoSchema.parse({}).loss_type,
    ...pretrain,
  };
}

/** Numbers of a training that are to be found. */
export function guidanceOf({
  learning_rate,
  num_train_epochs,
  max_steps,
}: Pick<Train, "learning_rate" | "num_train_epochs" | "max_steps">): {
  learningRate: boolean;
  length: boolean;
} {
  return { learningRate: learning_rate === "auto", length: num_train_epochs === "auto" && max_steps <= 0 };
}

/** The options as numbers: what is to be found stands at the default of `dualign train`. */
export function trainingOptions(train: Train): Training & DpoOptions {
  const fallback = trainingSchema.parse({});
  const given = <T>(value: T | "auto" | undefined, otherwise: T): T =>
    value === "auto" || value === undefined ? otherwise : value;
  return {
    ...train,
    learning_rate: given(train.learning_rate, fallback.learning_rate),
    num_train_epochs: given(train.num_train_epochs, fallback.num_train_epochs),
    lr_scheduler_type: train.lr_scheduler_type ?? fallback.lr_scheduler_type,
    eval_split: heldBackShare(train),
    logging_steps: fallback.logging_steps,
  };
}

/** Options of a scorer's training as numbers, with the longest sequence that it learns from. */
export const scorerTrainingOptions = (train: ScorerTrain, max_length: number): Training & DpoOptions =>
  trainingOptions({ ...train, max_length, ...dpoSchema.parse({}) });

/** The share of the pairs that is held back. */
export function heldBackShare(train: Train): number {
  const { learningRate, length } = guidanceOf(train);
  return train.eval_split ?? (learningRate || length ? 0.1 : 0);
}

/** Contradiction within the options, as the key and what to do about it; undefined where nothing does. */
export function contradiction(
  train: Omit<Train, "max_length" | keyof DpoOptions>,
): { key: keyof Train; message: string } | undefined {
  const { learningRate, length } = guidanceOf(train);
  if (length && train.lr_scheduler_type !== undefined)
    return {
      key: "lr_scheduler_type",
      message: `${train.lr_scheduler_type} needs a length: give num_train_epochs or max_steps, or leave the scheduler out`,
    };
  if ((learningRate || length) && train.eval_split === 0)
    return {
      key: "eval_split",
      message: "0 holds back nothing by which to find learning_rate or num_train_epochs: leave it out, or give both",
    };
  return undefined;
}

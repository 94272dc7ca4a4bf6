/** How a recipe says that models are trained: `train`, and `pretrain` for the models of preferences. */
import { z } from "zod";
import { preferenceLossTypes } from "../train/objectives/dpo/losses.js";
import { dpoSchema, trainingSchema } from "./options.js";

const trainFields = { ...trainingSchema.shape, ...dpoSchema.shape };

/** Schema of a recipe's `train`. */
export const trainSchema = z.strictObject(trainFields);
/** The options of a training. */
export type Train = z.infer<typeof trainSchema>;

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

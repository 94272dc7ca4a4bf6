/** Pieces that the schemas of several parts have in common. */
import { z } from "zod";

/** Text that is not empty. */
export const name = z.string().min(1);
/** Whole number above 0. */
export const count = z.number().int().positive();
/** Name of a part, which the run gives its rows. */
export const label = name
  .regex(/^[\w-][\w.-]*$/, "must be made of letters, digits, '.', '_' and '-'")
  .optional()
  .describe("what the run calls it");
/** Sign of a score. */
export const sign = z.union([z.literal(1), z.literal(-1)]).default(1);

/** Keys of a source of rows. */
export const rowFields = {
  file: name.optional().describe(".jsonl, .json, .csv, .tsv or .parquet (all but the last also .gz)"),
  dataset: name.optional().describe("a dataset on the Hugging Face hub"),
  subset: name.optional().describe("the hub dataset's subset (config), where it has several"),
  split: name.optional().describe("the hub dataset's split"),
};

/** Check that one source of rows is given, with the sentence on one that is not, for `refine`. */
export const oneSource = [
  ({ file, dataset }: { file?: string | undefined; dataset?: string | undefined }) =>
    (file === undefined) !== (dataset === undefined),
  "needs file or dataset, one of them",
] as const;

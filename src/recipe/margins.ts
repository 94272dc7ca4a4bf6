/** Keys by which a safety scorer is asked for margins. */
import { z } from "zod";

/** Schema of a margin on a scorer's mean. */
export const margin = z.number().describe("how much safer than the reference, at least");

/** Keys of a safety scorer that ask for margins: on its mean over all prompts, and on parts. */
export const marginFields = {
  margin: z
    .number()
    .optional()
    .describe("how much safer than the reference, at least: in the score's mean; or give share or categories alone"),
  share: z
    .strictObject({
      margin: z
        .number()
        .gt(-1)
        .lt(1)
        .describe("by how much the share of unsafe responses is to fall: 0.1 is ten points of a hundred"),
      threshold: z
        .number()
        .default(0)
        .describe("a response is unsafe if its cost, the score with its sign turned, is above it; 0 is Safe-RLHF's"),
    })
    .optional()
    .describe("a margin on the share of unsafe responses"),
  categories: z
    .record(z.string().min(1), z.number())
    .optional()
    .describe("margins on the score's mean over the prompts of a category, by its name; 0: it gets no worse"),
};

/** The confidence with which a recipe asks its margins, and what serves it. */
import { z } from "zod";

/** Error of a recipe: the key, and what is wrong with it. */
export type Fail = (path: readonly (string | number)[], message: string) => Error;

/** Keys of a recipe whose margins may be asked with a confidence. */
export const confidenceFields = {
  confidence: z
    .union([z.literal("none"), z.number().min(0.5).lt(1)])
    .default(0.95)
    .describe(
      "with which the margins are to hold, over prompts and samples: the strength of the trained policy is chosen by a test; none: it stays as trained, and nothing is promised",
    ),
  calibrate: z
    .strictObject({
      num_prompts: z
        .number()
        .int()
        .positive()
        .optional()
        .describe("prompts of the test, apart from all others; by default nine for ten held-out ones"),
      strengths: z
        .array(z.number().positive())
        .min(1)
        .optional()
        .describe("of the trained update, to choose from; by default 2, 1.5, 1.25, 1, 0.8, 0.65 and 0.5"),
      power: z
        .number()
        .min(0.5)
        .lt(1)
        .optional()
        .describe("chance, 0.95 by default, that the held-out verdict is to be 'held': a higher one aims further"),
    })
    .optional()
    .describe("choice of the trained policy's strength; needs a confidence"),
};

const confident = z.object(confidenceFields);

/** Confidence of a recipe's margins, and how the strength that holds them is chosen. */
export type Confident = z.infer<typeof confident>;

/** Check that refuses what says how to reach a confidence where none is asked. */
export function checkConfidence({ confidence, calibrate }: Confident, fail: Fail): void {
  if (confidence === "none" && calibrate)
    throw fail(["calibrate"], "'calibrate' serves a confidence, and 'confidence' is none: leave one of the two out");
  const { strengths = [] } = calibrate ?? {};
  const twice = strengths.find((one, i) => strengths.indexOf(one) !== i);
  if (twice !== undefined) throw fail(["calibrate", "strengths"], `'calibrate.strengths' has ${twice} twice`);
}

/** Rows of a training job as token ids, the same for every engine: what is trained on, what is held back, what is left out. */
import { InputError } from "../errors.js";
import type { PairsJob, RowsJob, TrainingEvent } from "../ports/trainer.js";
import { Random } from "../random.js";
import { dpoObjective, type Training, trainingSchema } from "../recipe/options.js";
import { tokenizePrompt } from "../text/rows.js";
import type { Tokenizer } from "../text/tokenizer.js";
import { holdBack } from "../train/heldBack.js";
import type { Example } from "../train/objectives/objective.js";
import { type Objective, recordOf } from "../train/objectives/table.js";
import { tokenizeGiven } from "./tokens.js";

/** Training job with its rows as examples. */
export interface TrainingRows {
  readonly objective: Objective;
  /** Options of the training itself; what the loss reads stands in the objective. */
  readonly options: Training;
  readonly training: readonly Example[];
  readonly held: readonly Example[];
  /** Counts of the rows, the first event of a training. */
  readonly event: Extract<TrainingEvent, { event: "rows" }>;
}

/**
 * Examples of a job.
 * @throws InputError where a row cannot be read, or none is left to train on.
 */
export function trainingRows(job: PairsJob | RowsJob, tokenizer: Tokenizer): TrainingRows {
  const {
    objective,
    examples,
    given,
    cut,
    alike = 0,
  } = job.kind === "pairs" ? pairExamples(job, tokenizer) : rowExamples(job, tokenizer);
  const options = trainingSchema.parse(
    Object.fromEntries(Object.entries(job.options).filter(([key]) => key in trainingSchema.shape)),
  );
  const { eval_split: share } = options;
  const guided = job.guidance?.learningRate || job.guidance?.length;
  // Pairs of one prompt tell of each other: what a length is found by is apart from what is learned from.
  const byPrompt = share > 0 && (guided || job.kind === "pairs" || examples.some(({ group }) => group !== undefined));
  const { training, held } = byPrompt
    ? holdBack(examples, { share, seed: job.seed })
    : splitExamples(examples, options, job.seed);
  const counts = {
    training: training.length,
    evaluation: held.length,
    left_out: given - examples.length,
    cut,
    ...(alike > 0 && { alike }),
  };
  return { objective, options, training, held, event: { event: "rows", ...counts } };
}

interface Examples {
  objective: Objective;
  examples: Example[];
  given: number;
  cut: number;
  /** Pairs whose two sides are the same tokens. */
  alike?: number;
}

/** Pairs of sampled responses: their tokens as they were drawn. */
function pairExamples({ pairs, beta, options }: PairsJob, tokenizer: Tokenizer): Examples {
  const { max_length } = options;
  const examples = pairs.flatMap(({ prompt, chosen, rejected, probability, target }): Example[] => {
    const [first, second] = tokenizeGiven(tokenizer, [chosen, rejected]);
    if (Math.max(first.response.length, second.response.length) + first.prompt.length > max_length) return [];
    return [
      {
        prompt: tokenizePrompt(tokenizer, prompt, "a prompt", chosen.row),
        completions: [first.response, second.response],
        probability,
        target,
        reference: [chosen.logprob, rejected.logprob],
      },
    ];
  });
  if (examples.length === 0)
    throw new InputError(
      `every pair is longer than train.max_length ${max_length}: raise it, or lower sampling.max_new_tokens`,
    );
  return { objective: dpoObjective(beta, options), examples, given: pairs.length, cut: 0 };
}

/** Rows of text, tokenized as TRL does. */
function rowExamples({ objective: kind, beta, options, rows }: RowsJob, tokenizer: Tokenizer): Examples {
  const objective: Objective =
    kind === "dpo" ? dpoObjective(beta!, { loss_type: "sigmoid", label_smoothing: 0, ...options }) : { kind };
  let cut = 0;
  const lengths = { maxLength: options.max_length, onCut: () => cut++ };
  const examples = rows.flatMap(({ row, where, group }): Example | Example[] => {
    const example = recordOf(objective).example(objective, row, { tokenizer, where, lengths });
    if (!example) return [];
    return group === undefined ? example : { ...example, group };
  });
  if (rows.length === 0) throw new InputError("there are no rows to train on");
  if (examples.length === 0)
    throw new InputError(
      `every one of the ${rows.length} rows is longer than max_length ${options.max_length}: raise it`,
    );
  const alike = examples.filter(
    ({ completions: [first, second] }) => second !== undefined && `${first}` === `${second}`,
  ).length;
  if (alike === examples.length)
    throw new InputError(
      `${rows[0]!.where}: every pair, of ${alike}, has the same tokens as chosen and as rejected, so that nothing can be learned: are the texts the same, or is a space missing between prompt and answers?`,
    );
  return { objective, examples, given: rows.length, cut, alike };
}

const EVALUATION_STREAM = 0xe7a1;

/** A share of the rows, chosen by the seed, for evaluation; the others in their order. */
function splitExamples(examples: readonly Example[], { eval_split }: Training, seed: number) {
  const count = Math.round(eval_split * examples.length);
  if (count === 0) return { training: examples, held: [] };
  if (count >= examples.length)
    throw new InputError(`eval_split ${eval_split} leaves no row of ${examples.length} to train on: lower it`);
  const chosen = new Set(new Random(seed, EVALUATION_STREAM).shuffle([...examples.keys()]).slice(0, count));
  return {
    training: examples.filter((_, i) => !chosen.has(i)),
    held: examples.filter((_, i) => chosen.has(i)),
  };
}

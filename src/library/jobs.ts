/** Commands on one model as a program calls them: train, generate, log-probabilities, scores. They print nothing. */
import type { z } from "zod";
import type { Device } from "../cli/jobOptions.js";
import { runGenerate } from "../cli/jobs/generate.js";
import { runLogprobs } from "../cli/jobs/logprobs.js";
import { runScore } from "../cli/jobs/score.js";
import { runTrainCommand } from "../cli/jobs/train.js";
import type { CommandEvent } from "../cli/progress.js";
import { InputError } from "../errors.js";
import type { RowSource } from "../files/rows/source.js";
import { kindOf, kindWanted } from "../recipe/kinds/kind.js";
import { scorerPart, scorerSchema } from "../recipe/kinds/scorers.js";
import { betaSchema, dpoSchema, samplingSchema, trainingSchema } from "../recipe/options.js";
import type { ReadyScorerSpec, ScorerSpec } from "../recipe/parse.js";
import { describe } from "../recipe/parse.js";

/** Options of every command on one model. */
export interface JobOptions {
  /** Rows in: a file (JSON lines, JSON, CSV, Parquet), or a hub dataset's split. */
  readonly data: string | RowSource;
  /** Whether the model's chat template goes around plain texts; false by default. */
  readonly chat?: boolean;
  /** Device that computes: "cpu" by default. */
  readonly device?: Device;
  /** Called with every event, in order. What it throws stops the command. */
  readonly onEvent?: (event: CommandEvent) => void;
}

/** Model of a command: a folder or hub id, with a PEFT adapter on it where one is given. */
export interface JobModel {
  readonly model: string;
  readonly adapter?: string;
}

/** Options of {@link trainModel}. */
export interface TrainModelOptions extends JobOptions, JobModel {
  readonly objective: "sft" | "reward" | "cost" | "dpo";
  /** Folder that gets the adapter, or the model where every weight is trained. */
  readonly outputDir: string;
  /** Options under TRL's and PEFT's names; what is left out has its default. */
  readonly options?: z.input<typeof trainingSchema>;
  /** DPO's own options under TRL's names, β among them. */
  readonly dpo?: z.input<typeof dpoSchema> & { readonly beta?: number };
  /** Column that names the preferred response, of rows that are PKU-SafeRLHF's. */
  readonly label?: string;
  readonly seed?: number;
  /** Whether to go on from the last checkpoint in `outputDir`. */
  readonly resume?: boolean;
}

/** Options of {@link generateResponses}. */
export interface GenerateOptions extends JobOptions, JobModel {
  /** File that gets the rows with their responses. */
  readonly output: string;
  /** Column of the prompts: "prompt" by default. */
  readonly column?: string;
  /** Options under transformers' names; one sample a prompt by default. */
  readonly sampling?: z.input<typeof samplingSchema>;
  readonly seed?: number;
}

/** Options of {@link computeLogprobs}. */
export interface LogprobsOptions extends JobOptions, JobModel {
  /** File that gets the rows with "logprob" added. */
  readonly output: string;
}

/** Options of {@link scoreResponses}: a score model, a module whose default export scores rows, or a scorer of any kind. */
export interface ScoreOptions extends JobOptions, Partial<JobModel> {
  readonly module?: string;
  /** Scorer as a recipe has it, such as `{ classifier: "unitary/toxic-bert", label: "toxic", sign: -1 }`. */
  readonly scorer?: Readonly<Record<string, unknown>>;
  /** File that gets the rows with "score" added. */
  readonly output: string;
  /** Longest prompt and response together, in tokens: 512 by default. */
  readonly maxLength?: number;
  /** Rows that a module is called with at a time: 16 by default. */
  readonly batchSize?: number;
}

/** Figures that end a command; each command's are listed under the event `done`. */
export type JobResult = Readonly<Record<string, unknown>>;

/**
 * Training of one model, as `dualign train` does it: a PEFT adapter by default.
 * @throws InputError for a mistake in the options or the rows.
 */
export async function trainModel(given: TrainModelOptions): Promise<JobResult> {
  const { objective, outputDir, label, seed = 0, resume = false, dpo = {} } = given;
  const options = checked(trainingSchema, given.options ?? {});
  if (given.adapter !== undefined && !options.use_peft)
    throw new InputError("an adapter goes with training a LoRA adapter: leave out use_peft: false");
  const job = { ...common(given), model: modelOf(given), label, outputDir, options, seed, resume };
  if (objective !== "dpo") return last(runTrainCommand({ ...job, objective }), given);
  const { beta, ...loss } = checked(dpoSchema.extend({ beta: betaSchema.default(0.1) }), dpo);
  return last(runTrainCommand({ ...job, objective, beta, dpo: loss }), given);
}

/** Responses sampled to prompts, as `dualign generate` does it. Errors as of {@link trainModel}. */
export async function generateResponses(given: GenerateOptions): Promise<JobResult> {
  const { output, column = "prompt", seed = 0 } = given;
  const sampling = checked(samplingSchema, { num_samples: 1, ...given.sampling });
  return last(runGenerate({ ...common(given), model: modelOf(given), output, column, sampling, seed }), given);
}

/** Log-probabilities of given responses, as `dualign logprobs` does it. Errors as of {@link trainModel}. */
export async function computeLogprobs(given: LogprobsOptions): Promise<JobResult> {
  return last(runLogprobs({ ...common(given), model: modelOf(given), output: given.output }), given);
}

/** Scores of given responses, as `dualign score` does it. Errors as of {@link trainModel}. */
export async function scoreResponses(given: ScoreOptions): Promise<JobResult> {
  const { model, adapter, module, scorer, output, maxLength = 512, batchSize = 16 } = given;
  if ([model, module, scorer].filter((one) => one !== undefined).length !== 1)
    throw new InputError("give a score model, a module or a scorer, one of them");
  if (model === undefined && adapter !== undefined)
    throw new InputError("an adapter goes on a model, not on a module or a scorer");
  const named = model === undefined ? { module, batch_size: batchSize } : { model, adapter, max_length: maxLength };
  const spec = scorerSpec(scorer ?? named);
  return last(runScore({ ...common(given), scorer: spec, output }), given);
}

/** Scorer as a recipe would have it, its kind told by its keys. Throws InputError as a recipe does. */
function scorerSpec(raw: Readonly<Record<string, unknown>>): ReadyScorerSpec {
  const kind = kindOf(scorerPart, raw);
  if (!kind) throw new InputError(`a scorer ${kindWanted(scorerPart, raw)}`);
  const result = scorerSchema({}).safeParse({ name: "score", ...raw, kind: kind.kind });
  if (result.success) {
    const spec = result.data as ScorerSpec;
    if (spec.kind !== "preferences") return spec;
    throw new InputError("a scorer of the kind 'preferences' is trained by a run: train it first, and give its model");
  }
  const [issue] = result.error.issues;
  if (issue!.code === "unrecognized_keys")
    throw new InputError(`'${issue!.keys[0]}' is not read by a scorer of the kind '${kind.kind}'`);
  throw new InputError(`'${issue!.path.join(".")}' ${describe(issue!, raw[String(issue!.path[0])])}`);
}

const modelOf = ({ model, adapter }: JobModel) => ({ model, adapter });

function common({ data, chat = false, device = "cpu" }: JobOptions) {
  return { source: typeof data === "string" ? { file: data } : data, chat, device };
}

/** Options with their defaults. */
function checked<S extends z.ZodObject>(schema: S, options: unknown): z.infer<S> {
  const result = schema.safeParse(options);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const value = issue.path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown>)?.[key], options);
  const place = issue.path.join(".");
  throw new InputError(place === "" ? describe(issue, value) : `'${place}' ${describe(issue, value)}`);
}

/** Last event of a command, its name aside. */
async function last(events: AsyncIterable<CommandEvent>, { onEvent }: JobOptions): Promise<JobResult> {
  let done: JobResult = {};
  for await (const event of events) {
    onEvent?.(event);
    if (event.event !== "done") continue;
    const { event: _, ...figures } = event;
    done = figures;
  }
  return done;
}

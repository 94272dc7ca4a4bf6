/**
 * Openers of the kinds that a recipe's parts come in (`recipe/kinds`), each loaded when it is used. What a kind's opener
 * does not read, its record must not have as a key.
 */
import type { Runtime } from "../graph/index.js";
import type { Notice } from "../ports/events.js";
import type { Judge } from "../ports/judge.js";
import type { Enumerator, Logprobs, PolicyRef, Sampler } from "../ports/policy.js";
import type { Scorer } from "../ports/scorer.js";
import type { Trainer } from "../ports/trainer.js";
import type { World } from "../ports/world.js";
import type { Engine } from "../recipe/kinds/engines.js";
import type { JudgeSpec, ReadyScorerSpec } from "../recipe/parse.js";

/** Means of an opener, beside the part itself. */
export interface Opening {
  /** Runtime of the embedded engine, made at its first use. */
  readonly runtime: () => Promise<Runtime>;
  /** Hears each sentence that the user should know. */
  readonly notice: Notice;
}

type Of<Spec, Kind> = Extract<Spec, { kind: Kind }>;
/** Openers of a part: one for every kind. */
type Openers<Spec extends { kind: string }, More extends readonly unknown[], Result> = {
  readonly [K in Spec["kind"]]: (spec: Of<Spec, K>, ...more: More) => Promise<Result>;
};

/** Openers of scorers. */
export const scorers: Openers<ReadyScorerSpec, [Opening], Scorer> = {
  async model({ name, model, adapter, label, activation, max_length }, { runtime, notice }) {
    const { openModelScorer } = await import("./onnx/scorer.js");
    const read = { name, model, adapter, label, activation, maxLength: max_length };
    return openModelScorer(await runtime(), read, notice);
  },
  async module({ name, module, batch_size, timeout }) {
    const { openModuleScorer } = await import("./module/scorer.js");
    return openModuleScorer(name, module, batch_size, timeout);
  },
  async guard({ name, guard, adapter, template, safe_answer: safe, unsafe_answer: unsafe }, { runtime, notice }) {
    const { openGuard } = await import("./onnx/guard.js");
    return openGuard(await runtime(), { name, model: guard, adapter, template, safe, unsafe }, notice);
  },
  async classifier({ name, classifier, label, activation, text, template, max_length }, { runtime, notice }) {
    const { openClassifier } = await import("./onnx/classifier.js");
    const read = { name, model: classifier, label, activation, text, template, maxLength: max_length };
    return openClassifier(await runtime(), read, notice);
  },
  async endpoint({ name, endpoint, api, model, tokenizer, label, text, max_length, batch_size, ...rest }, { notice }) {
    const { openEndpointScorer } = await import("./endpoint/scorer.js");
    const { key, concurrency, timeout, retries } = rest;
    const connection = { endpoint, key, concurrency, timeout, retries };
    const read = { name, api, model, tokenizer, label, text, max_length, batch_size };
    return openEndpointScorer({ ...connection, ...read }, notice);
  },
  async rating({ name, rubric, endpoint, model, lowest, highest, read, unreadable, parameters, ...rest }, { notice }) {
    const { openRating } = await import("./endpoint/rating.js");
    const { key, concurrency, timeout, retries } = rest;
    const asked = { name, rubric, model, lowest, highest, read, unreadable, parameters };
    return openRating({ ...asked, endpoint, key, concurrency, timeout, retries }, notice);
  },
};

/** Openers of judges. */
export const judges: Openers<JudgeSpec, [], Judge> = {
  async endpoint({ name, question, endpoint, model, key, parameters, concurrency, timeout, retries }) {
    const { openEndpointJudge } = await import("./endpoint/judge.js");
    const { tokenFor } = await import("./endpoint/token.js");
    const secret = tokenFor(`judge '${name}'`, { endpoint, key });
    return openEndpointJudge({
      name,
      question,
      endpoint,
      model,
      key: secret,
      parameters,
      concurrency,
      timeout,
      retries,
    });
  },
  async module({ name, module }) {
    const { openModuleJudge } = await import("./module/judge.js");
    return openModuleJudge(name, module);
  },
  async rubric({ name, rubric, sign }) {
    const { openRubricJudge } = await import("./module/judge.js");
    return openRubricJudge(name, rubric, sign);
  },
};

/** Abilities of an engine that samples. */
export interface SamplerEngine {
  openSampler(ref: PolicyRef): Promise<Sampler>;
  openLogprobs(ref: PolicyRef): Promise<Logprobs>;
  /** Opens the listing of all responses, where the engine has it. */
  openEnumerator?(ref: PolicyRef): Promise<Enumerator>;
}

/** Openers of engines that sample and give log-probabilities. */
export const samplers: Openers<Engine["sample"], [Opening], SamplerEngine> = {
  async embedded(_, { runtime, notice }) {
    const { openPolicy } = await import("./onnx/policy.js");
    const open = async (ref: PolicyRef) => openPolicy(await runtime(), ref, notice);
    return { openSampler: open, openLogprobs: open, openEnumerator: open };
  },
  async endpoint({ endpoint, model, serves, tokenizer, key, concurrency, timeout, retries }, { notice }) {
    const { openServedPolicy } = await import("./endpoint/open.js");
    const spec = { endpoint, model, serves, tokenizer, key, concurrency, timeout, retries };
    // A run needs both of every server, the second for its KL: what lacks one is found before anything is sampled.
    const needs = { sample: true, logprobs: true, adapters: true };
    const open = (ref: PolicyRef) => openServedPolicy({ spec, ref, needs, notice });
    return { openSampler: open, openLogprobs: open };
  },
  async bulk({ export: requests, import: answers, tokenizer }, { notice }) {
    const { BulkExchange } = await import("./bulk/exchange.js");
    const { openBulkPolicy } = await import("./bulk/policy.js");
    const { openTokenizer } = await import("../files/modelFolder.js");
    const exchange = new BulkExchange({ export: requests, import: answers }, notice);
    const open = async (ref: PolicyRef) =>
      openBulkPolicy({ ref, tokenizer: await openTokenizer(tokenizer ?? ref.model), exchange });
    return { openSampler: open, openLogprobs: open };
  },
};

/** Openers of engines that train. */
export const trainers: Openers<Engine["train"], [Opening, World["openScorer"]], Trainer> = {
  async embedded(_, { runtime, notice }, openScorer) {
    const { openEmbeddedTrainer } = await import("./onnx/trainer.js");
    return openEmbeddedTrainer(await runtime(), openScorer, notice);
  },
  async trl({ launcher, python, num_workers, distribution, model_path, dtype, bf16, reference, ...ray }, { notice }) {
    const { openTrlTrainer } = await import("./trl/trainer.js");
    const { ray_address, storage_path, max_failures } = ray;
    return openTrlTrainer(
      {
        launcher,
        python,
        workers: num_workers,
        distribution,
        ...{ modelPath: model_path, dtype, bf16, reference },
        ray: { address: ray_address, storage: storage_path, maxFailures: max_failures },
      },
      notice,
    );
  },
};

/** Result of the opener of a part's kind. */
export function openKind<Spec extends { kind: string }, More extends readonly unknown[], Result>(
  openers: Openers<Spec, More, Result>,
  spec: Spec,
  ...more: More
): Promise<Result> {
  const open = openers[spec.kind as Spec["kind"]] as (spec: Spec, ...more: More) => Promise<Result>;
  return open(spec, ...more);
}

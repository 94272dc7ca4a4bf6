/** Prompts answered by a run's reference and by its aligned policy at a strength, scored by the run's scorers. */
import type { Device } from "../cli/jobOptions.js";
import { openWorld } from "../cli/world.js";
import { InputError } from "../errors.js";
import { modelOf } from "../methods/pecan.js";
import type { Logprobs, PolicyRef, PolicySample, Sampler } from "../ports/policy.js";
import type { Scorer } from "../ports/scorer.js";
import type { RunStore } from "../ports/store.js";
import type { World } from "../ports/world.js";
import type { Recipe, ScorerSpec } from "../recipe/parse.js";
import { scorersOf } from "../recipe/scorers.js";
import { aligned } from "../stages/context.js";
import { atStrength, referenceOf } from "../stages/policies.js";
import { promptFormat } from "../stages/prompts.js";
import { scorerOpener } from "../stages/scorers.js";
import type { Text } from "../text/rows.js";
import type { ChatAnswer, ChatRequest, ChatResponse } from "./api.js";

/** Milliseconds after the last answer at which models are closed. */
const idle = 5 * 60_000;
/** Most policies that are kept open: the reference and some strengths. */
const mostOpen = 4;

/** Part of a chat that is opened once: its models and scorers. */
interface Opened {
  readonly key: string;
  readonly recipe: Recipe;
  readonly world: World;
  readonly samplers: Map<string, Sampler>;
  readonly scorers: readonly OpenScorer[];
  readonly notices: string[];
  close(): Promise<void>;
}

interface OpenScorer {
  readonly name: string;
  score(prompt: Text, samples: readonly PolicySample[]): Promise<number[]>;
}

/** Chats with the runs of a studio: the models of one run are open at a time, for some minutes after an answer. */
export class Chats {
  private opened: Opened | undefined;
  private last: Promise<unknown> = Promise.resolve();
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly device: Device) {}

  /**
   * Answers to a prompt, one chat after the other.
   * @throws InputError for a run without a trained policy, or a strength that is no number of at least 0.
   */
  answer(run: RunStore, asked: ChatRequest): Promise<ChatResponse> {
    const next = this.last.then(() => this.answerNow(run, asked));
    this.last = next.catch(() => {});
    return next;
  }

  async close(): Promise<void> {
    clearTimeout(this.timer);
    await this.last;
    await this.rest();
  }

  private async rest(): Promise<void> {
    await this.opened?.close();
    this.opened = undefined;
  }

  private async answerNow(run: RunStore, asked: ChatRequest): Promise<ChatResponse> {
    const { prompt, strength } = asked;
    if (!(strength >= 0 && strength <= 10)) throw new InputError(`the strength is ${strength}: give 0 to 10`);
    if (prompt.trim() === "") throw new InputError("the prompt is empty");
    const training = await run.training(aligned);
    if (!training) throw new InputError("the attempt has no trained policy yet: train it first");
    clearTimeout(this.timer);
    const key = `${run.path} ${run.attempt.attempt}`;
    if (this.opened?.key !== key) {
      await this.rest();
      this.opened = await openChat(run, key, this.device);
    }
    const chat = this.opened;
    try {
      return await reply(chat, asked, {
        reference: { name: "reference", ref: referenceOf(run.recipe) },
        aligned: { name: `aligned ${strength}`, ref: await trainedAt(run, training.path, strength) },
      });
    } finally {
      this.timer = setTimeout(() => {
        this.last = this.last.then(() => this.rest());
      }, idle);
      this.timer.unref();
    }
  }
}

/** Place of the trained policy at a strength that counts from the trained one: the folder may hold a chosen strength. */
async function trainedAt(run: RunStore, path: string, strength: number): Promise<PolicyRef> {
  const [calibration] = await run.select("calibrations", { policy: aligned });
  return atStrength(run, path, strength / (calibration?.strength ?? 1));
}

async function reply(
  chat: Opened,
  { prompt, seed }: ChatRequest,
  policies: Readonly<Record<ChatAnswer["policy"], { name: string; ref: PolicyRef }>>,
): Promise<ChatResponse> {
  const answers: ChatAnswer[] = [];
  for (const policy of ["reference", "aligned"] as const) {
    const { name, ref } = policies[policy];
    const sampler = await samplerOf(chat, name, ref);
    const text = (await promptFormat(chat.recipe.prompts, async () => sampler))(prompt);
    const start = performance.now();
    const job = { prompt: text, promptIndex: 0, sampleIndexes: [0] };
    for await (const sample of sampler.sample([job], { ...chat.recipe.sampling, seed })) {
      const seconds = (performance.now() - start) / 1000;
      const scores: Record<string, number | null> = {};
      for (const scorer of chat.scorers) {
        try {
          scores[scorer.name] = (await scorer.score(text, [sample]))[0] ?? null;
        } catch (error) {
          scores[scorer.name] = null;
          chat.notices.push(`${scorer.name} gave no score: ${error instanceof Error ? error.message : error}`);
        }
      }
      const { response, finishReason, responseIds } = sample;
      answers.push({
        policy,
        response,
        finished: finishReason === "stop",
        tokens: responseIds.length,
        seconds,
        scores,
      });
    }
  }
  return { answers, notices: chat.notices.splice(0) };
}

async function samplerOf(chat: Opened, name: string, ref: PolicyRef): Promise<Sampler> {
  const known = chat.samplers.get(name);
  if (known) {
    chat.samplers.delete(name);
    chat.samplers.set(name, known);
    return known;
  }
  const sampler = await chat.world.openSampler(ref);
  chat.samplers.set(name, sampler);
  const oldest = [...chat.samplers.keys()].find((other) => other !== "reference" && other !== name);
  if (chat.samplers.size > mostOpen && oldest !== undefined) {
    await chat.samplers.get(oldest)!.close();
    chat.samplers.delete(oldest);
  }
  return sampler;
}

async function openChat(run: RunStore, key: string, device: Device): Promise<Opened> {
  const { recipe } = run;
  const notices: string[] = [];
  const world = openWorld(device, (message) => notices.push(message), recipe.engine);
  const open: { close(): Promise<void> }[] = [];
  const keep = <T extends { close(): Promise<void> }>(one: T): T => {
    open.push(one);
    return one;
  };
  const samplers = new Map<string, Sampler>();
  const close = async () => {
    for (const one of [...samplers.values(), ...open]) await one.close();
  };
  try {
    const scorers: OpenScorer[] = [];
    if (recipe.method === "pecan") {
      const base = keep(await world.openLogprobs(referenceOf(recipe)));
      for (const spec of [recipe.reward, ...recipe.safety]) {
        const model = keep(await world.openLogprobs(await modelOf(run, spec, recipe.pretrain.use_peft)));
        scorers.push(implicit(spec.name, recipe.beta, { model, base }));
      }
    }
    for (const spec of scorersOf(recipe))
      scorers.push(explicit(spec, keep(await scorerOpener({ run, world }, spec)())));
    return { key, recipe, world, samplers, scorers, notices, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const rowsOf = (prompt: Text, samples: readonly PolicySample[]) =>
  samples.map(({ response, responseIds, finishReason }) => ({ prompt, response, responseIds, finishReason }));

/** Scorer of the recipe, its sign and scale applied. */
const explicit = (spec: ScorerSpec, scorer: Scorer): OpenScorer => ({
  name: spec.name,
  async score(prompt, samples) {
    const found: number[] = [];
    for await (const { index, value } of scorer.score(rowsOf(prompt, samples)))
      found[index] = spec.sign * spec.scale * value;
    return found;
  },
});

/** Score of PeCAN: β times the log-ratio of a preference's model to the reference. */
const implicit = (name: string, beta: number, { model, base }: Record<"model" | "base", Logprobs>): OpenScorer => ({
  name,
  async score(prompt, samples) {
    const rows = rowsOf(prompt, samples);
    const under = async (policy: Logprobs) => {
      const found: number[] = [];
      for await (const { index, value } of policy.logprobs(rows)) found[index] = value;
      return found;
    };
    const [own, reference] = [await under(model), await under(base)];
    return own.map((value, i) => beta * (value - reference[i]!));
  },
});

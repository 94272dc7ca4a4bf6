/**
 * Writes the pocket corpus: prompts, and answers of graded quality. Everything follows from a seed; each row has a
 * random stream of its own.
 */
import { Random } from "../random.js";
import type { Message } from "../text/rows.js";
import { judge } from "./rubric.js";
import { asks, circumstances, everyday, people, phrases, risky, type Topic } from "./world.js";

/** Prompt of the pocket world. */
export interface Prompt {
  readonly kind: "everyday" | "risky";
  readonly text: string;
  readonly topic: Topic;
}

/** Every prompt of the world, each once. */
export function allPrompts(): Prompt[] {
  const make = (kind: Prompt["kind"], topic: Topic, request: string): Prompt[] =>
    asks.flatMap((ask) =>
      circumstances[kind].map((when) => ({ kind, topic, text: ask.replace("{do}", () => request + when) })),
    );
  return [
    ...everyday.flatMap((topic) => make("everyday", topic, topic.request)),
    ...risky.flatMap((topic) =>
      people.flatMap((whom) =>
        make(
          "risky",
          topic,
          topic.request.replace("{whom}", () => whom),
        ),
      ),
    ),
  ];
}

/** Prompts, split into those of the pipeline and those of the corpus. */
export interface PromptSplit {
  /** For the pipeline: none of them is trained on before. */
  readonly fresh: readonly Prompt[];
  /** For the corpus. */
  readonly seen: readonly Prompt[];
}

/** Keeps `fresh` prompts back, everyday and risky ones by turns. */
export function splitPrompts(seed: number, fresh: number): PromptSplit {
  const prompts = new Random(seed, Stream.split).shuffle(allPrompts());
  const kept = byKind(prompts);
  const chosen = Array.from({ length: fresh }, (_, i) => kept[i % 2 ? "risky" : "everyday"][i >> 1]);
  const isFresh = new Set(chosen);
  return { fresh: chosen, seen: prompts.filter((prompt) => !isFresh.has(prompt)) };
}

const byKind = (prompts: readonly Prompt[]) => ({
  everyday: prompts.filter(({ kind }) => kind === "everyday"),
  risky: prompts.filter(({ kind }) => kind === "risky"),
});

/** A row of supervised fine-tuning, as chat messages. */
export interface AnswerRow {
  prompt: Turn[];
  completion: Turn[];
  [extra: string]: unknown;
}

/** A turn of the pocket world: always plain text. */
export interface Turn extends Message {
  content: string;
}

/** Row of preference data, with the extra columns that the corpus keeps. */
export interface PairRow {
  prompt: Turn[];
  chosen: Turn[];
  rejected: Turn[];
  [extra: string]: unknown;
}

/** A pair whose `chosen` is the safer answer, with the labels that Safe-RLHF's cost model learns from. */
export interface SafetyRow extends PairRow {
  chosen_safe: boolean;
  rejected_safe: boolean;
}

const turn = (role: string, content: string): Turn[] => [{ role, content }];

/** Answers that the reference policy imitates; half of them are everyday. */
export function answerRows(seed: number, prompts: readonly Prompt[], count: number): AnswerRow[] {
  return rows(seed, Stream.answers, prompts, count, (prompt, random) => ({
    prompt: turn("user", prompt.text),
    completion: turn("assistant", drawAnswer(prompt, random)),
  }));
}

/** Pairs whose helpfulness people would disagree on: the better one is `chosen` with Bradley–Terry's probability. */
export function helpfulnessRows(seed: number, prompts: readonly Prompt[], count: number): PairRow[] {
  return rows(seed, Stream.helpfulness, prompts, count, (prompt, random) => {
    const [first, second] = drawTwo(prompt, random);
    const gap = judge(prompt.text, first).helpfulness - judge(prompt.text, second).helpfulness;
    return pair(prompt, first, second, chooses(slopes.helpfulness * gap, random));
  });
}

/** Answers less harmful than this count as safe. */
export const safeBelow = 0.25;

/** Share of safety labels that are wrong, as people's are. */
const labelNoise = 0.04;

/** Pairs labelled for safety: the order by Bradley–Terry, and for each answer whether it is safe. */
export function safetyRows(seed: number, prompts: readonly Prompt[], count: number): SafetyRow[] {
  return rows(seed, Stream.safety, prompts, count, (prompt, random) => {
    const [first, second] = drawTwo(prompt, random);
    const harms = [first, second].map((answer) => judge(prompt.text, answer).harm);
    const safe = harms.map((harm) => harm < safeBelow !== random.uniform() < labelNoise);
    const firstSafer = chooses(slopes.harm * (harms[1] - harms[0]), random);
    const [chosen, rejected] = firstSafer ? [0, 1] : [1, 0];
    return {
      ...pair(prompt, first, second, firstSafer),
      chosen_safe: safe[chosen],
      rejected_safe: safe[rejected],
    };
  });
}

/** How much a unit of the rubric counts in people's preferences, in log-odds. */
const slopes = { helpfulness: 2.5, harm: 2 };

const chooses = (logOdds: number, random: Random) => random.uniform() < 1 / (1 + Math.exp(-logOdds));

function pair(prompt: Prompt, first: string, second: string, firstChosen: boolean): PairRow {
  const [chosen, rejected] = firstChosen ? [first, second] : [second, first];
  return {
    prompt: turn("user", prompt.text),
    chosen: turn("assistant", chosen),
    rejected: turn("assistant", rejected),
  };
}

function drawTwo(prompt: Prompt, random: Random): [string, string] {
  const draw = () => {
    const answer = drawAnswer(prompt, random);
    return chance(0.2, random) ? garble(answer, random) : answer;
  };
  const first = draw();
  for (;;) {
    const second = draw();
    if (second !== first) return [first, second];
  }
}

/** Spoils an answer as a small model may, so that score models learn what that is worth: a step twice, or a word lost. */
function garble(answer: string, random: Random): string {
  const steps = answer.match(/(?<=First |then )[^,.]+/g) ?? [];
  if (steps.length > 1 && chance(0.6, random)) {
    const [from, to] = random.shuffle([...steps]);
    return answer.replace(to, from);
  }
  const words = answer.split(" ");
  words.splice(random.integer(words.length), 1);
  return words.join(" ");
}

/** Names the random streams, so that one kind of row can change without the others. */
enum Stream {
  split,
  answers,
  helpfulness,
  safety,
}

function rows<Row>(
  seed: number,
  stream: Stream,
  prompts: readonly Prompt[],
  count: number,
  make: (prompt: Prompt, random: Random) => Row,
): Row[] {
  const kinds = byKind(prompts);
  return Array.from({ length: count }, (_, i) => {
    const random = new Random(seed, stream, i);
    return make(pick(kinds[i % 2 ? "risky" : "everyday"], random), random);
  });
}

/** An answer as the reference gives them: mostly helpful, and to risky requests mostly harmful. */
export function drawAnswer(prompt: Prompt, random: Random): string {
  return (prompt.kind === "everyday" ? everydayAnswer : riskyAnswer)(prompt.topic, random);
}

function everydayAnswer(topic: Topic, random: Random): string {
  if (random.uniform() < 0.05) return refuse(random);
  return sentences(
    chance(0.5, random) && say("polite", random),
    stepsOf(topic, everyday, [0.15, 0.25, 0.3, 0.3], random) ?? say("vague", random),
    draw<string | false>(
      [
        [0.4, () => false],
        [0.25, () => say("care", random)],
        [0.15, () => say("luck", random)],
        [0.1, () => say("brush", random)],
        [0.1, () => say("careless", random)],
      ],
      random,
    ),
  );
}

function riskyAnswer(topic: Topic, random: Random): string {
  return draw<string>(
    [
      [0.47, () => comply(topic, random)],
      [0.07, () => sentences(chance(0.5, random) && say("polite", random), say("vague", random))],
      [0.08, () => waver(topic, random)],
      [0.38, () => refuse(random, topic)],
    ],
    random,
  );
}

function comply(topic: Topic, random: Random): string {
  return sentences(
    chance(0.5, random) && say("polite", random),
    stepsOf(topic, risky, [0, 0.3, 0.35, 0.35], random)!,
    draw<string | false>(
      [
        [0.4, () => false],
        [0.25, () => say("secrecy", random)],
        [0.2, () => say("warning", random)],
        [0.15, () => say("luck", random)],
      ],
      random,
    ),
  );
}

/** Half a refusal: a good way out, and a bad one. */
function waver(topic: Topic, random: Random): string {
  return sentences(
    say("doubt", random),
    `You could ${pick(topic.alternatives, random)}, or ${pick(topic.steps, random)}`,
  );
}

function refuse(random: Random, topic?: Topic): string {
  const no = chance(0.5, random) ? `${say("sorry", random)}, ${say("refusal", random)}` : say("refusal", random);
  if (!topic) return sentences(no);
  const alternatives = some(
    topic.alternatives,
    draw(
      [
        [0.4, () => 0],
        [0.35, () => 1],
        [0.25, () => 2],
      ],
      random,
    ),
    random,
  );
  return sentences(
    no,
    chance(0.4, random) && say("reason", random),
    alternatives.length > 0 && `You could ${alternatives.join(", or ")}`,
    chance(0.2, random) && say("offer", random),
  );
}

/** Steps of the topic, now and then one of another topic; undefined where `shares` draws none. */
function stepsOf(topic: Topic, all: readonly Topic[], shares: readonly number[], random: Random): string | undefined {
  const count = draw(
    shares.map((share, n): [number, () => number] => [share, () => n]),
    random,
  );
  const steps = some(topic.steps, count, random).map((step) =>
    chance(0.12, random) ? pick(pick(all, random).steps, random) : step,
  );
  if (steps.length === 0) return undefined;
  if (steps.length === 1) return `You can ${steps[0]}`;
  return `First ${steps.join(", then ")}`;
}

const sentences = (...parts: (string | false)[]) =>
  parts
    .filter((part) => part !== false)
    .map((part) => `${part}.`)
    .join(" ");

const say = (kind: keyof typeof phrases, random: Random): string => pick(phrases[kind], random);
const chance = (p: number, random: Random) => random.uniform() < p;
const pick = <T>(list: readonly T[], random: Random): T => list[random.integer(list.length)];
/** `count` of a list's items, in the list's order. */
function some<T>(list: readonly T[], count: number, random: Random): T[] {
  const chosen = new Set(random.shuffle([...list.keys()]).slice(0, count));
  return list.filter((_, i) => chosen.has(i));
}

/** One of several makers, by their shares (which sum to 1). */
function draw<T>(choices: readonly (readonly [share: number, make: () => T])[], random: Random): T {
  let left = random.uniform();
  for (const [share, make] of choices) {
    left -= share;
    if (left < 0) return make();
  }
  return choices[choices.length - 1][1]();
}

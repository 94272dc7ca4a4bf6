/** Pseudo-preferences: pairs of a prompt's responses, labelled by Bradley–Terry with r_λ = r + ⟨λ, g⟩ (METHOD.md, step 4). */
import { InputError } from "../errors.js";
import { Random } from "../random.js";
import type { PairRow } from "./stages.js";

export interface PairOptions {
  /** `informative`: the pairs whose preference is surest, where DPO's first gradient is largest. */
  choice: "random" | "all" | "informative";
  /** `soft`: the label is the probability itself; `drawn`: 1 or 0 drawn with it, as in the paper. */
  labels: "soft" | "drawn";
  /** At most so many pairs for each prompt; `all` takes every one. */
  per_prompt: number;
  seed: number;
}

/** A prompt's responses with their r_λ, as the labels take it. */
export interface Candidates {
  prompt: number;
  /** `text` tells equal responses: a pair of those says nothing and is left out. */
  responses: readonly { sample: number; text: string; score: number }[];
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/**
 * Labelled pairs for a policy to train on, prompt by prompt. Each prompt has a random stream of its own.
 * @throws InputError if no prompt has two different responses.
 */
export function labelPairs(policy: string, prompts: readonly Candidates[], options: PairOptions): PairRow[] {
  const rows: PairRow[] = [];
  for (const { prompt, responses } of prompts) {
    const random = new Random(options.seed, prompt);
    for (const [a, b] of choose(differing(responses), options, random)) {
      // Which comes first carries no meaning, so that it cannot carry a bias.
      const [first, second] = random.uniform() < 0.5 ? [a, b] : [b, a];
      const difference = first.score - second.score;
      const probability = sigmoid(difference);
      const label = options.labels === "soft" ? probability : Number(random.uniform() < probability);
      rows.push({
        policy,
        pair: rows.length,
        prompt,
        first: first.sample,
        second: second.sample,
        probability,
        difference,
        label,
      });
    }
  }
  if (rows.length === 0)
    throw new InputError(
      "no prompt has two different responses, so there is nothing to prefer: raise sampling.num_samples or sampling.temperature",
    );
  return rows;
}

type Response = Candidates["responses"][number];
type Pair = readonly [Response, Response];

function differing(responses: readonly Response[]): Pair[] {
  return responses.flatMap((a, i) =>
    responses
      .slice(i + 1)
      .filter((b) => b.text !== a.text)
      .map((b): Pair => [a, b]),
  );
}

function choose(pairs: Pair[], { choice, per_prompt }: PairOptions, random: Random): Pair[] {
  if (choice === "all") return pairs;
  if (choice === "random") return random.shuffle(pairs).slice(0, per_prompt);
  const gap = ([a, b]: Pair) => Math.abs(a.score - b.score);
  return pairs.sort((a, b) => gap(b) - gap(a)).slice(0, per_prompt);
}

/** Margins on parts of what a scorer says: the share of unsafe responses, and the score within a category of prompts. */
import type { z } from "zod";
import type { Fail } from "./confidence.js";
import type { marginFields } from "./margins.js";
import type { ScorerConstraint, ScorerSpec } from "./scorerSpecs.js";

/** Part of a scorer's scores with a margin of its own; the run keeps its scores under its name, made from the scorer's. */
export interface PartSpec {
  readonly kind: "part";
  readonly name: string;
  readonly margin: number;
  /** Scorer whose scores it is made of. */
  readonly of: ScorerSpec;
  /** Cost above which a response is unsafe: its score is −1 there, else 0. */
  readonly threshold?: number;
  /** Category of prompts: its score is the scorer's there, divided by the category's share, and 0 elsewhere. */
  readonly category?: string;
}

/** Margin of a recipe: on a scorer's mean, or on a part of its scores. */
export type ConstraintSpec = ScorerConstraint | PartSpec;

/** Name of the part that is a share of unsafe responses. */
const unsafe = "unsafe";

/** Safety scorer with all that is asked of it. */
type Asked = Omit<ScorerConstraint, "margin"> & z.infer<z.ZodObject<typeof marginFields>>;

/** Constraints of one safety scorer: its margin, then its share's, then its categories'. */
export function constraintsOf(asked: Asked, path: readonly (string | number)[], fail: Fail): ConstraintSpec[] {
  const { margin, share, categories = {}, ...scorer } = asked;
  const of = scorer as ScorerSpec;
  const names = Object.keys(categories);
  if (margin === undefined && share === undefined && names.length === 0)
    throw fail([...path, "margin"], `'${scorer.name}' has no margin: give margin, share.margin or categories`);
  if (share && names.includes(unsafe))
    throw fail(
      [...path, "categories", unsafe],
      `a category called '${unsafe}' and a share would both be '${scorer.name}:${unsafe}': rename the category`,
    );
  const part = (name: string, more: Pick<PartSpec, "margin" | "threshold" | "category">): PartSpec => ({
    ...{ kind: "part", name: `${scorer.name}:${name}`, of },
    ...more,
  });
  return [
    ...(margin === undefined ? [] : [{ ...of, margin } as ScorerConstraint]),
    ...(share ? [part(unsafe, share)] : []),
    ...names.map((category) => part(category, { category, margin: categories[category]! })),
  ];
}

/** Recipe as far as it says of categories. */
interface Categorised {
  readonly prompts: { readonly category?: string };
  readonly evaluate: { readonly prompts?: { readonly category?: string } };
  readonly safety: readonly ConstraintSpec[];
}

/** Check that categories are named where margins are asked on them, and nowhere else. */
export function checkCategories({ prompts, evaluate, safety }: Categorised, fail: Fail): void {
  const asked = safety.some((spec) => askedCategory(spec) !== undefined);
  const sources = [[["prompts"], prompts] as const, [["evaluate", "prompts"], evaluate.prompts] as const];
  for (const [path, source] of sources) {
    if (!source || asked === (source.category !== undefined)) continue;
    throw fail(
      [...path, "category"],
      asked
        ? `margins are asked by category: '${path.join(".")}.category' must name the column that holds each prompt's`
        : `'${path.join(".")}.category' serves margins by category, and none is asked: leave it out, or give safety's 'categories'`,
    );
  }
}

/** Test of whether a constraint is on a part of a scorer's scores. */
export const isPart = <Spec extends { readonly kind: string }>(spec: Spec | PartSpec): spec is PartSpec =>
  spec.kind === "part";

/** Category of prompts that a constraint is on; undefined where it is on all of them. */
export const askedCategory = (spec: { readonly kind: string }): string | undefined =>
  isPart(spec) ? spec.category : undefined;

/** Scorers behind constraints, each once. */
export function scorersBehind(constraints: readonly (ScorerSpec | PartSpec)[]): ScorerSpec[] {
  const found = new Map<string, ScorerSpec>();
  for (const spec of constraints) {
    const scorer = isPart(spec) ? spec.of : spec;
    if (!found.has(scorer.name)) found.set(scorer.name, scorer);
  }
  return [...found.values()];
}

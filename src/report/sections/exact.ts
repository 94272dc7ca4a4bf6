/** Policies against the exact optimum, where every response was enumerated. */
import { exactOptima } from "../../methods/compare/rows.js";
import type { ExactFigures } from "../../ports/events.js";
import type { Condition } from "../figures.js";
import { count, missing, number, plural, signed } from "../format.js";
import { type Html, html } from "../html.js";
import { facts, table } from "../pieces.js";
import type { Section } from "../section.js";
import { solvers } from "../study/problems.js";

/** Problem with its exact optimum, and policies against it. */
export interface ExactProblem {
  /** Label of the method that solves it. */
  readonly algorithm: string;
  /** Whether the scores are those of the method's own models, so that only its policies are measured in them. */
  readonly own: boolean;
  readonly conditions: readonly Condition[];
  readonly prompts: number;
  /** Responses enumerated, all prompts together. */
  readonly responses: number;
  /** Exact λ*, and the one solved from samples; `null`: out of reach, or not solved. */
  readonly lambda: readonly number[] | null;
  readonly sampledLambda: readonly number[] | null;
  /** Outcomes of the reference, of π* itself if there is one, and of every policy. */
  readonly rows: readonly ExactOutcome[];
}

/** Exact figures of one policy; lists have a value for each condition, violations are margin − gain. */
export interface ExactOutcome {
  readonly name: string;
  /** KL to π*, and to the exact optimum of the policy's own λ. */
  readonly klToOptimum: number | null;
  readonly klToOwn: number | null;
  readonly violation: readonly number[];
  readonly ownViolation: readonly number[] | null;
  readonly predictedViolation: readonly number[] | null;
  readonly rewardGain: number;
  readonly objectiveGap: number | null;
}

/** Data of the section. */
export interface ExactData {
  readonly beta: number;
  readonly problems: readonly ExactProblem[];
}

/** Every policy against the exact optimum. */
export const exact: Section<"exact", ExactData> = {
  id: "exact",
  title: "Against the exact optimum",
  async gather(study) {
    const { comparison } = study;
    const optima = comparison && (await exactOptima(study.run, comparison));
    if (!optima || optima.length === 0) return null;
    const entries = await study.entries();
    const policies = await study.distinct();
    return {
      beta: comparison.beta,
      problems: optima.map(({ problem, prompts, responses, lambda, sampled_lambda, optimum, reference }) => {
        const own = problem === "preferences";
        const { safety } = own ? comparison.preferences! : comparison;
        return {
          algorithm: solvers[problem].label,
          own,
          conditions: safety.map(({ name, margin }) => ({ name, margin })),
          prompts,
          responses,
          lambda,
          sampledLambda: sampled_lambda,
          rows: [
            outcome("The reference", reference),
            ...(optimum ? [outcome("π*", optimum)] : []),
            ...policies.flatMap(({ policy, name }) => {
              const { row } = entries.find((entry) => entry.policy === policy)!;
              return (row.exact ?? [])
                .filter((figures) => figures.problem === problem)
                .map((figures) => outcome(name, figures));
            }),
          ],
        };
      }),
    };
  },
  draw({ beta, problems }) {
    const [{ prompts, responses }] = problems;
    return html`<p>Every response that there is to the ${plural(prompts, "held-out prompt")}, ${count(responses)} in all, was counted with its probability under every policy, so that these figures are exact: the best policy π* that holds the margins is known, and so is how far each policy is from it.</p>
${problems.map(
  (problem) => html`${
    problems.length > 1
      ? html`<h3>${problem.algorithm}${problem.own ? ", in the scores of its own models" : null}</h3>`
      : null
  }
${exactTable(problem)}${facts(multiplierFacts(problem))}`,
)}<p class="note"><b>Violation</b>: the margin minus the gain, so that a policy with more than 0 misses the margin. <b>Its optimum</b>: the exact best policy of the λ that a policy was trained for, which is what its training aims at. <b>Predicted</b>: the violation of that as the solve found it from samples of the training prompts. <b>Objective</b>: reward − ${number(beta)} · KL to the reference, how far below that of π*; less than 0 where a policy buys reward with safety.</p>`;
  },
};

/** Violations as they are shown: what is left of a margin that holds with equality is rounding. */
const settled = (values: readonly number[]) => values.map((value) => (Math.abs(value) < 1e-9 ? 0 : value));

const outcome = (name: string, figures: ExactFigures): ExactOutcome => ({
  name,
  klToOptimum: figures.kl_to_optimum,
  klToOwn: figures.kl_to_own,
  violation: settled(figures.violation),
  ownViolation: figures.own_violation && settled(figures.own_violation),
  predictedViolation: figures.predicted_violation && settled(figures.predicted_violation),
  rewardGain: figures.reward_gain,
  objectiveGap: figures.objective_gap,
});

function exactTable({ algorithm, own, conditions, rows }: ExactProblem): Html {
  const several = conditions.length > 1;
  const of = (name: string, what: string) => (several ? `${name}: ${what.toLowerCase()}` : what);
  const signedOr = (values: readonly number[] | null, j: number) => (values ? signed(values[j]) : missing);
  return table(
    `${own ? `${algorithm}’s policies` : "Every policy"} against π*, exactly; KL in nats`,
    [
      "Policy",
      "KL to π*",
      "KL to its optimum",
      ...conditions.flatMap(({ name }) => [
        of(name, "Violation"),
        of(name, "Violation of its optimum"),
        of(name, "Violation predicted"),
      ]),
      "Reward gain",
      "Objective below π*",
    ],
    rows.map((row) => [
      row.name,
      html`<b>${number(row.klToOptimum)}</b>`,
      number(row.klToOwn),
      ...conditions.flatMap((_, j) => [
        html`<b>${signed(row.violation[j])}</b>`,
        signedOr(row.ownViolation, j),
        signedOr(row.predictedViolation, j),
      ]),
      signed(row.rewardGain),
      row.objectiveGap === null ? missing : signed(row.objectiveGap),
    ]),
    { many: true },
  );
}

function multiplierFacts({ conditions, lambda, sampledLambda }: ExactProblem): (readonly [string, string])[] {
  return conditions.flatMap(({ name }, j) => {
    const of = conditions.length > 1 ? ` of ${name}` : "";
    return [
      [`Exact λ*${of} on the held-out prompts`, lambda ? number(lambda[j]) : "none: no policy reaches the margins"],
      ...(sampledLambda ? [[`λ*${of} from samples of the training prompts`, number(sampledLambda[j])] as const] : []),
    ] as (readonly [string, string])[];
  });
}

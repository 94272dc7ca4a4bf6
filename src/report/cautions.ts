/** Cautions: what a careful reader would want to know before believing the figures. */
import type { Arrival } from "../stages/arrival.js";
import { type Condition, distinct, type PolicyFigures, type RunCounts } from "./figures.js";
import { count, number, percent, plural, signed } from "./format.js";
import { isNumber } from "./statistics.js";
import { aimsBeyond, type Priced } from "./study/problems.js";

/** Data of the verdict. */
export interface VerdictData {
  readonly reference: string;
  readonly reward: string;
  readonly conditions: readonly Condition[];
  readonly beta: number;
  readonly confidence: number;
  readonly counts: RunCounts;
  readonly policies: readonly Pick<
    PolicyFigures,
    "name" | "policy" | "reward" | "safety" | "heldOut" | "kl" | "winRates"
  >[];
  readonly problems: readonly {
    readonly algorithm: string;
    /** Conditions, each with the largest gain that a reweighting of the samples reaches. */
    readonly conditions: readonly (Priced & { readonly largestMargin: number })[];
    /** Median over prompts of the effective sample size at λ*. */
    readonly ess: number;
    /** Share of the bootstrap's resamples in which a margin is out of reach. */
    readonly infeasibleResamples: number;
    /** What a solution that misses its certificate is warned of. */
    readonly certificate?: string;
  }[];
  /** Arrival of the training at its known optimum, in a run whose training is done. */
  readonly arrival?: Pick<Arrival, "share" | "basis" | "cautions">;
  /** Mean tokens of the held-out responses, and the share of them that were cut off. */
  readonly lengths?: {
    readonly limit: number;
    readonly reference: number;
    readonly policies: readonly { readonly name: string; readonly mean: number; readonly cut: number }[];
  };
}

/** Fewer held-out prompts than this make a bootstrap interval too narrow. */
const fewPrompts = 30;
/** Below so many effective responses a prompt's prediction rests on one or two lucky ones. */
export const fewResponses = 3;
/** Beyond this share of the largest reachable gain the optimum leans on the best samples only. */
const nearLimit = 0.8;
/** Beyond this share of unreadable verdicts a win rate may be that of the readable ones only. */
const manyUnreadable = 0.05;
/** Change of the mean length, as a share, from which on scores may merely follow length. */
const longer = 0.25;
/** Share of cut responses from which on scores are those of unfinished texts. */
const manyCut = 0.25;

/** Cautions of a run or of a comparison, a sentence each; none if nothing was found that weakens the verdict. */
export function cautions(data: VerdictData): string[] {
  return [
    ...(data.arrival?.cautions ?? []),
    ...data.problems.flatMap(({ algorithm, certificate }) =>
      certificate === undefined ? [] : [`${whose(data, algorithm)}λ* is not certified: ${certificate}.`],
    ),
    ...onHeldOut(data),
    ...(data.counts.heldOutPrompts < fewPrompts
      ? [
          `Measured on ${plural(data.counts.heldOutPrompts, "prompt")} only: with fewer than ${fewPrompts} the intervals tend to be too narrow.`,
        ]
      : []),
    ...data.problems.flatMap((problem) => onProblem(problem, data)),
    ...onLengths(data),
    ...onJudges(data),
  ];
}

const isMany = ({ policies }: VerdictData) => distinct(policies).length > 1;

const whose = (data: VerdictData, algorithm: string) => (isMany(data) ? `${algorithm}’s ` : "");

/** One policy whose outside scorers fell; in a comparison the table of those scorers shows it beside the others. */
function onHeldOut(data: VerdictData): string[] {
  if (isMany(data)) return [];
  return data.policies.flatMap(({ heldOut }) =>
    heldOut.flatMap(({ name, measured, interval }) =>
      interval && interval[1] < 0
        ? [`${name}, which took no part in the solve, fell (${signed(measured)}): the scorers may be misled.`]
        : [],
    ),
  );
}

function onProblem(problem: VerdictData["problems"][number], data: VerdictData): string[] {
  const { algorithm, conditions, ess, infeasibleResamples } = problem;
  const found: string[] = [];
  if (isNumber(ess) && ess < fewResponses)
    found.push(
      `For half of the prompts no more than ${number(ess)} of ${count(data.counts.responses)} responses carry ${isMany(data) ? whose(data, algorithm) : "the "}prediction: it is optimistic. A larger β or more responses would steady it.`,
    );
  for (const { name, margin, asked, largestMargin } of conditions)
    if (isNumber(largestMargin) && margin > nearLimit * largestMargin)
      found.push(
        `The ${aimsBeyond({ margin, asked }) ? `margin that the solve aims at in ${name}` : `margin of ${name}`} is ${percent(margin / largestMargin)} of the largest gain that the samples reach (${number(largestMargin)}): near the limit λ* is unsteady.`,
      );
  if (infeasibleResamples > 0)
    found.push(
      `In ${infeasibleResamples < 0.01 ? "less than 1 %" : percent(infeasibleResamples)} of ${isMany(data) ? whose(data, algorithm) : "the "}resamples a margin is out of reach: more prompts or responses would tell whether it can be had.`,
    );
  return found;
}

function onLengths(data: VerdictData): string[] {
  const { lengths } = data;
  if (!lengths) return [];
  const found: string[] = [];
  const { reference: before, policies, limit } = lengths;
  for (const [change, some] of [
    ["longer", policies.filter(({ mean }) => mean > (1 + longer) * before)],
    ["shorter", policies.filter(({ mean }) => mean < (1 - longer) * before)],
  ] as const)
    if (some.length > 0)
      found.push(
        isMany(data)
          ? `Responses became ${change} than the reference’s ${number(before)} tokens under ${some.map(({ name, mean }) => `${name} (${number(mean)})`).join(", ")}: make sure that the scores do not merely follow length.`
          : `Responses became ${change} (from ${number(before)} to ${number(some[0].mean)} tokens on average): make sure that the scores do not merely follow length.`,
      );
  const cut = policies.filter((policy) => policy.cut > manyCut);
  if (cut.length > 0)
    found.push(
      `${isMany(data) ? `Up to ${percent(Math.max(...cut.map((one) => one.cut)))} of the responses of a policy` : `${percent(cut[0].cut)} of the responses`} were cut off at ${plural(limit, "token")}: their scores are those of unfinished texts.`,
    );
  return found;
}

function onJudges({ policies }: VerdictData): string[] {
  const rates = policies.flatMap(({ winRates }) => winRates);
  return [...new Set(rates.map(({ judge }) => judge))].flatMap((judge) => {
    const own = rates.filter((rate) => rate.judge === judge);
    const unreadable = own.reduce((sum, rate) => sum + rate.unreadable, 0);
    const share = unreadable / own.reduce((sum, { wins, losses, ties }) => sum + wins + losses + ties, unreadable);
    return share > manyUnreadable
      ? [`${percent(share)} of ${judge}’s pairs have an unreadable verdict: they are in no win rate.`]
      : [];
  });
}

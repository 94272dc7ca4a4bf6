/** What a careful reader would want to know before believing the figures. */
import type { ComparisonData } from "./compared.js";
import type { ReportData } from "./data.js";
import { count, isNumber, mean, median, number, percent, plural, signed } from "./format.js";

/** Fewer held-out prompts than this make a bootstrap interval too narrow. */
const fewPrompts = 30;
/** Below so many effective responses a prompt's prediction rests on one or two lucky ones. */
const fewResponses = 3;
/** Beyond this share of the largest reachable gain the optimum leans on the best samples only. */
const nearLimit = 0.8;

/** One sentence for each thing that weakens the verdict; none if nothing was found. */
export function cautions(data: ReportData): string[] {
  const { constraints, heldOut = [], counts, dual, lengths, certificate, infeasibleResamples = 0 } = data;
  const found: string[] = [];
  found.push(...(data.arrival?.cautions ?? []));
  if (certificate !== undefined) found.push(`λ* is not certified: ${certificate}.`);
  for (const { name, measured, interval } of heldOut)
    if (interval && interval[1] < 0)
      found.push(`${name}, which took no part in the solve, fell (${signed(measured)}): the scorers may be misled.`);
  found.push(...onFewPrompts(counts.heldOutPrompts));
  const ess = median(dual?.ess ?? []);
  if (ess < fewResponses)
    found.push(
      `For half of the prompts no more than ${number(ess)} of ${count(counts.responses)} responses carry the prediction: it is optimistic. A larger β or more responses would steady it.`,
    );
  constraints.forEach(({ name, margin }, j) => {
    const largest = dual?.constraints[j]?.largestMargin;
    if (isNumber(largest) && margin > nearLimit * largest)
      found.push(
        `The margin of ${name} is ${percent(margin / largest)} of the largest gain that the samples reach (${number(largest)}): near the limit λ* is unsteady.`,
      );
  });
  found.push(...onInfeasible(infeasibleResamples));
  if (lengths) {
    const [before, after] = [mean(Array.from(lengths.before)), mean(Array.from(lengths.after))];
    if (Math.abs(after - before) > 0.25 * before)
      found.push(
        `Responses became ${after > before ? "longer" : "shorter"} (from ${number(before)} to ${number(after)} tokens on average): make sure that the scores do not merely follow length.`,
      );
    if (lengths.cutAfter > 0.25)
      found.push(
        `${percent(lengths.cutAfter)} of the responses were cut off at ${plural(lengths.limit, "token")}: their scores are those of unfinished texts.`,
      );
  }
  return found;
}

const onFewPrompts = (prompts: number) =>
  prompts < fewPrompts
    ? [
        `Measured on ${plural(prompts, "prompt")} only: with fewer than ${fewPrompts} the intervals tend to be too narrow.`,
      ]
    : [];

const onInfeasible = (share: number, algorithm?: string) =>
  share > 0
    ? [
        `In ${share < 0.01 ? "less than 1 %" : percent(share)} of ${algorithm === undefined ? "the" : `${algorithm}’s`} resamples a margin is out of reach: more prompts or responses would tell whether it can be had.`,
      ]
    : [];

/** Beyond this share of unreadable verdicts a win rate may be that of the readable ones only. */
const manyUnreadable = 0.05;

/** The same for a comparison. */
export function comparisonCautions({ counts, problems = [], policies }: ComparisonData): string[] {
  const found = onFewPrompts(counts.heldOutPrompts);
  for (const { algorithm, dual, infeasibleResamples, certificate } of problems) {
    if (certificate !== undefined) found.push(`${algorithm}’s λ* is not certified: ${certificate}.`);
    const ess = median(dual.ess);
    if (ess < fewResponses)
      found.push(
        `For half of the prompts no more than ${number(ess)} of ${count(counts.responses)} responses carry ${algorithm}’s prediction: it is optimistic.`,
      );
    found.push(...onInfeasible(infeasibleResamples, algorithm));
  }
  const rates = policies.flatMap(({ winRates }) => winRates);
  for (const judge of new Set(rates.map((rate) => rate.judge))) {
    const own = rates.filter((rate) => rate.judge === judge);
    const unreadable = own.reduce((sum, rate) => sum + rate.unreadable, 0);
    const share = unreadable / own.reduce((sum, { wins, losses, ties }) => sum + wins + losses + ties, unreadable);
    if (share > manyUnreadable)
      found.push(`${percent(share)} of ${judge}’s pairs have an unreadable verdict: they are in no win rate.`);
  }
  return found;
}

/** The parts of a comparison's report, from the verdict down. Each gives `null` if there is nothing to show there. */
import { type Agreement, agreement } from "./agreement.js";
import { comparisonCautions } from "./cautions.js";
import { extent, ink, lineChart } from "./charts.js";
import type {
  Bill,
  ComparedDistribution,
  ComparedExact,
  ComparedPolicy,
  ComparisonData,
  Family,
  MarginBill,
  MultiplierPath,
} from "./compared.js";
import { ridgeChart, type ScatterPoint, scatterChart } from "./comparisonCharts.js";
import type { Outcome, Verdict } from "./data.js";
import { curvesFigure, distanceFigure, essFigure, estimateFigures, klFigure, referenceFigure } from "./dualFigures.js";
import {
  bytes,
  count,
  duration,
  flops,
  isNumber,
  mean,
  missing,
  number,
  percent,
  plural,
  range,
  signed,
  withInterval,
} from "./format.js";
import { type Html, html } from "./html.js";
import { badge, cautionList, facts, figure, figures, key, list, type Section, table } from "./page.js";
import { policiesBeside } from "./responses.js";

/** Policies as they differ: of rows that share one the first, and how the others call it. */
function distinct(policies: readonly ComparedPolicy[]): { policy: ComparedPolicy; others: string[] }[] {
  const found = new Map<string, { policy: ComparedPolicy; others: string[] }>();
  for (const policy of policies) {
    const known = found.get(policy.policy);
    if (known) known.others.push(policy.name);
    else found.set(policy.policy, { policy, others: [] });
  }
  return [...found.values()];
}

/** The policies that stand for one-shot alignment: the scorers' problem if it is there, or else the preferences'. */
function oneShot({ policies }: ComparisonData): { family: Family; policies: ComparedPolicy[] } {
  const of = (family: Family) => policies.filter((policy) => policy.family === family && policy.predictions.length > 0);
  const mocan = of("MoCAN");
  return mocan.length > 0 ? { family: "MoCAN", policies: mocan } : { family: "PeCAN", policies: of("PeCAN") };
}

/** How the predicted safety gains of a policy fared. The worst of its constraints counts. */
function fared({ predictions }: ComparedPolicy): Agreement | null {
  const found = predictions.slice(1).map(agreement);
  return (["apart", null, "meet"] as const).find((one) => found.includes(one)) ?? (found.length > 0 ? "within" : null);
}

export function comparisonQuestion(data: ComparisonData): Html {
  const { policies, counts, constraints } = data;
  const there = distinct(policies);
  return html`<p class="over">${data.title} · comparison</p>
<h1>Does one training give the safety that was predicted?</h1>
${answer(data)}
<p class="lead">${plural(there.length, "policy", "policies")}, all from ${data.reference}, were trained on the same ${plural(counts.prompts, "prompt")} and measured by the same scorers on ${plural(counts.heldOutPrompts, "prompt")} that none of them saw. Asked for was the highest <b>${data.reward}</b> with a gain over ${data.reference} of ${list(
    constraints.map(({ name, margin }) => html`at least ${number(margin)} in <b>${name}</b>`),
  )}.</p>`;
}

function answer(data: ComparisonData): Html {
  const { family, policies } = oneShot(data);
  if (policies.length === 0)
    return html`<p class="answer open"><strong>Nothing was predicted.</strong> No policy here has a λ that was solved for. ${costSentence(data)}</p>`;
  const borne = policies.filter((policy) => ["within", "meet"].includes(fared(policy)!)).length;
  const names = list(policies[0].predictions.slice(1).map(({ name }) => html`<b>${name}</b>`));
  const why = borne < policies.length ? html` (<a href="#predicted">why</a>)` : null;
  const of = borne === policies.length ? `All ${count(borne)}` : `${count(borne)} of ${count(policies.length)}`;
  const [kind, short] =
    borne === policies.length
      ? ["held", "Yes."]
      : borne > policies.length / 2
        ? ["open", "Mostly."]
        : ["failed", "No."];
  const matched =
    policies.length === 1
      ? html`The ${family} policy ${borne === 1 ? "gains" : "does not gain"} in ${names} what the solve predicted for it`
      : html`${of} ${family} policies gain in ${names} what the solve predicted for them`;
  return html`<p class="answer ${kind}"><strong>${short}</strong> ${matched}, as far as the intervals can tell${why}. ${solvedSentence(policies)} ${costSentence(data)}</p>`;
}

/** What became of the margin that was asked for. */
function solvedSentence(policies: readonly ComparedPolicy[]): Html | null {
  const solved = policies.find((policy) => policy.solved);
  if (!solved) return null;
  return html`At λ*, ${list(
    solved.safety.map(
      ({ name, margin, measured, verdict }) =>
        html`${verdict === "undecided" ? html`it is undecided whether the margin of ${name} is held` : html`the margin of ${name} is ${verdict ?? "not measured"}`} (${signed(measured)}, asked ${signed(margin)})`,
    ),
  )}.`;
}

function costSentence({ marginBills = [] }: ComparisonData): Html | null {
  const [own, ...others] = marginBills;
  const iterative = others.filter(({ iterative }) => iterative);
  if (!own || iterative.length === 0) return null;
  return html`${iterative.map(({ method, verdict, bill }) => {
    const operations = ratio(bill.flops, own.bill.flops);
    const factor = operations ?? ratio(bill.seconds, own.bill.seconds);
    if (factor === null) return null;
    const missed = verdict === "not held" ? " and did not reach the margin" : "";
    return html`${method} took ${times(factor)} times the ${operations === null ? "time" : "operations"} of ${own.method}${missed}. `;
  })}`;
}

export function comparisonVerdict(data: ComparisonData): Html {
  const { policies, constraints, counts, problems = [] } = data;
  const there = distinct(policies);
  const shared = there.filter(({ others }) => others.length > 0);
  return html`${table(
    `Gain over ${data.reference} on held-out prompts with its ${confidence(data)} interval`,
    [
      "Policy",
      ...constraints.flatMap(({ name }) => [name, constraints.length > 1 ? `${name} margin` : "Margin"]),
      data.reward,
      "KL, nats",
    ],
    there.map(({ policy }) => [
      policy.name,
      ...policy.safety.flatMap((outcome) => [gain(outcome), badge(outcome.verdict)]),
      gain(policy.reward),
      html`${number(policy.kl.measured)} <small>${policy.kl.interval ? `${number(policy.kl.interval[0])} to ${number(policy.kl.interval[1])}` : ""}</small>`,
    ]),
    { many: true },
  )}<p class="note"><b>Held</b>: the whole interval reaches the margin that was asked for; <b>not held</b>: none of it does; <b>undecided</b>: it contains the margin. Intervals are bootstrapped over the ${plural(counts.heldOutPrompts, "held-out prompt")} (${plural(counts.heldOutResponses, "response")} each).${shared.length > 0 ? html` The same training, whoever chose λ: ${list(shared.map(({ policy, others }) => html`${policy.name} and ${list(others)}`))}.` : null}</p>
${facts([
  ["KL strength β", number(data.beta)],
  ...constraints.map(({ name, margin }) => [`Asked of ${name}`, `≥\u00a0${signed(margin)}`] as const),
  ...problems.flatMap(({ algorithm, constraints }) =>
    constraints.map(
      ({ name, lambda, lambdaInterval }) =>
        [`${algorithm}’s λ* for ${name}`, withInterval(lambda, lambdaInterval)] as const,
    ),
  ),
])}
${cautionList(comparisonCautions(data))}`;
}

const gain = ({ measured, interval }: Outcome) =>
  html`<b>${signed(measured)}</b>${interval ? html` <small>${range(interval)}</small>` : null}`;

export function agreementSection(data: ComparisonData): Section | null {
  const families = (["MoCAN", "PeCAN"] as const)
    .map((family) => ({
      family,
      policies: data.policies.filter((policy) => policy.family === family && policy.predictions.length > 0),
    }))
    .filter(({ policies }) => policies.length > 0);
  if (families.length === 0) return null;
  return {
    id: "predicted",
    title: "Predicted and measured",
    body: html`<p>Before anything is trained, the solve says what the best policy of each λ gains. A policy is then trained with that λ and measured on prompts that it never saw. On the dashed diagonal the two are the same.</p>
${families.map(
  ({ family, policies }) => html`<h3>${family}${family === "PeCAN" ? ", in the scores of its own models" : null}</h3>
${agreementTables(family, policies, data)}${reasonsList(policies, data)}${figures(
  safetyFirst(policies[0].predictions).map((k) => agreementFigure(family, policies, k, data)),
)}`,
)}`,
  };
}

/** Places of the predictions, the reward's last. */
const safetyFirst = (predictions: readonly Outcome[]) => [...predictions.slice(1).map((_, j) => j + 1), 0];

const agreementWords: Record<Agreement, string> = {
  within: "within",
  meet: "intervals meet",
  apart: "apart",
};
const agreementBadges: Record<Agreement, Verdict> = { within: "held", meet: "undecided", apart: "not held" };

/** So many scores have room in one table. */
const scoresInTable = 2;

function agreementTables(family: Family, policies: readonly ComparedPolicy[], data: ComparisonData): Html {
  const all = safetyFirst(policies[0].predictions);
  const tables = all.length <= scoresInTable ? [all] : all.map((k) => [k]);
  return html`${tables.map((scores) => agreementTable(family, policies, scores, data))}<p class="note"><b>Within</b>: the prediction lies in the measured interval. <b>Intervals meet</b>: chance may explain the difference. <b>Apart</b>: it does not. <b>Effective responses</b>: how many of a prompt’s responses still count under the predicted policy, on average.</p>`;
}

/** @param scores the places of the predictions to show. */
function agreementTable(
  family: Family,
  policies: readonly ComparedPolicy[],
  scores: readonly number[],
  data: ComparisonData,
): Html {
  const names = scores.map((k) => policies[0].predictions[k].name);
  return table(
    `Gain in ${names.join(" and ")} that was predicted of each λ, and that its policy made, with ${confidence(data)} intervals`,
    [family, ...names.flatMap((name) => [`${name}, predicted`, `${name}, measured`, "Agree"]), "Effective responses"],
    policies.map(({ name, predictions, ess }) => [
      name,
      ...scores.flatMap((k) => {
        const one = predictions[k];
        const state = agreement(one);
        return [
          html`${signed(one.predicted)} <small>${range(one.predictedInterval)}</small>`,
          gain(one),
          state === null ? missing : badge(agreementBadges[state], agreementWords[state]),
        ];
      }),
      ess ? html`${number(ess.mean)} <small>at least ${number(ess.min)}</small>` : missing,
    ]),
    { many: true },
  );
}

function agreementFigure(family: Family, policies: readonly ComparedPolicy[], k: number, data: ComparisonData): Html {
  const { name } = policies[0].predictions[k];
  const outcomes = policies.map(({ predictions }) => predictions[k]);
  const apart = outcomes.filter((outcome) => agreement(outcome) === "apart").length;
  const gaps = outcomes.map(({ predicted, measured }) => (measured ?? Number.NaN) - (predicted ?? Number.NaN));
  const finding = `${count(outcomes.length - apart)} of ${count(outcomes.length)} agree; on average the measured gain lies ${number(Math.abs(mean(gaps)))} ${mean(gaps) < 0 ? "below" : "above"} the predicted`;
  return figure(
    `${name}: predicted against measured`,
    scatterChart(
      `Measured against predicted gain in ${name} for ${plural(policies.length, "policy", "policies")} of ${family}: ${finding}.`,
      `predicted gain in ${name}`,
      `measured gain in ${name}`,
      policies.map((policy, i) => ({
        name: policy.mark,
        family: policy.family,
        x: outcomes[i].predicted ?? Number.NaN,
        y: outcomes[i].measured ?? Number.NaN,
        xInterval: outcomes[i].predictedInterval,
        yInterval: outcomes[i].interval,
      })),
      { diagonal: true },
    ),
    html`Each point is a policy, named by its λ; bars are ${confidence(data)} intervals. ${finding}.`,
  );
}

function reasonsList(policies: readonly ComparedPolicy[], { counts }: ComparisonData): Html | null {
  const apart = policies.filter((policy) => policy.predictions.some((one) => agreement(one) === "apart"));
  if (apart.length === 0) return null;
  return html`<h3>Why they are apart</h3>
<ul class="cautions">${apart.map(
    (policy) => html`<li><b>${policy.name}</b>: ${reasons(policy, counts.heldOutResponses).join("; ")}.</li>
`,
  )}</ul>`;
}

/** Beyond these a policy or its solve is known to miss the optimum. */
const fewEffective = 3;
const littleProgress = 0.85;
const littleKl = 0.8;
/** Of a difference, the part that is worth telling. */
const noticeable = 0.2;

/** What the run itself knows that moves a measurement away from its prediction. */
function reasons(policy: ComparedPolicy, responses: number): string[] {
  const { ess, kl, training, predictions, heldOutPredictions = [] } = policy;
  const found: string[] = [];
  const apart = [...predictions.entries()].filter(([, outcome]) => agreement(outcome) === "apart");
  for (const [k, { name, predicted, measured }] of apart) {
    const part = (heldOutPredictions[k] - predicted!) / (measured! - predicted!);
    if (part >= noticeable)
      found.push(
        `the held-out prompts differ from those of the solve: from the reference’s ${plural(responses, "response")} to each of them the same λ predicts ${signed(heldOutPredictions[k])} in ${name}, which makes up ${percent(Math.min(1, part))} of the difference`,
      );
  }
  if (ess && ess.mean < fewEffective)
    found.push(
      `only ${number(ess.mean)} effective responses carry the prediction of a prompt, so that it is optimistic`,
    );
  const progress = progressOf(training);
  if (progress !== null && progress < littleProgress)
    found.push(
      `training came ${percent(progress)} of the way from the reference’s loss to the optimum’s: more steps, or a larger adapter, would bring it nearer`,
    );
  const moved = ratio(kl.measured, kl.predicted);
  if (moved !== null && moved < littleKl)
    found.push(
      `it moved ${number(kl.measured)} nats from the reference where the optimum moves ${number(kl.predicted)}: training or the adapter’s capacity ended short of it`,
    );
  if (moved !== null && moved > 1 / littleKl)
    found.push(
      `it moved ${number(kl.measured)} nats from the reference, further than the optimum’s ${number(kl.predicted)}: it went on where β should have held it`,
    );
  if (found.length > 0) return found;
  const gaps = apart.map(([, { name, predicted, measured }]) => `${name} by ${signed(measured! - predicted!)}`);
  return [
    `neither the held-out prompts nor effective responses, training or KL explain the difference (${gaps.join(", ")}): what is left is how the policy carries what it learned over to other prompts`,
  ];
}

/** How much of the way from the reference's loss to the predicted optimum's a training went. */
function progressOf(training: ComparedPolicy["training"]): number | null {
  if (!training || !isNumber(training.loss) || !isNumber(training.optimum) || !isNumber(training.start)) return null;
  return (training.start - training.loss) / (training.start - training.optimum);
}

/** Policies against the exact optimum, where every response was enumerated. */
export function exactSection({ exact = [], beta }: ComparisonData): Section | null {
  if (exact.length === 0) return null;
  const [{ prompts, responses }] = exact;
  return {
    id: "exact",
    title: "Against the exact optimum",
    body: html`<p>Every response that there is to the ${plural(prompts, "held-out prompt")}, ${count(responses)} in all, was counted with its probability under every policy, so that these figures are exact: the best policy π* that holds the margins is known, and so is how far each policy is from it.</p>
${exact.map(
  (
    problem,
  ) => html`${exact.length > 1 ? html`<h3>${problem.algorithm}${problem.algorithm === "PeCAN" ? ", in the scores of its own models" : null}</h3>` : null}
${exactTable(problem)}${facts(multiplierFacts(problem))}`,
)}<p class="note"><b>Violation</b>: the margin minus the gain, so that a policy with more than 0 misses the margin. <b>Its optimum</b>: the exact best policy of the λ that a policy was trained for, which is what its training aims at. <b>Predicted</b>: the violation of that as the solve found it from samples of the training prompts. <b>Objective</b>: reward − ${number(beta)} · KL to the reference, how far below that of π*; less than 0 where a policy buys reward with safety.</p>`,
  };
}

function exactTable({ algorithm, constraints, rows }: ComparedExact): Html {
  const several = constraints.length > 1;
  const of = (name: string, what: string) => (several ? `${name}: ${what.toLowerCase()}` : what);
  const signedOr = (values: readonly number[] | null, j: number) => (values ? signed(values[j]) : missing);
  return table(
    `${algorithm === "PeCAN" ? "PeCAN’s policies" : "Every policy"} against π*, exactly; KL in nats`,
    [
      "Policy",
      "KL to π*",
      "KL to its optimum",
      ...constraints.flatMap(({ name }) => [
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
      ...constraints.flatMap((_, j) => [
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

function multiplierFacts({ constraints, lambda, sampledLambda }: ComparedExact) {
  return constraints.flatMap(({ name }, j) => {
    const of = constraints.length > 1 ? ` of ${name}` : "";
    return [
      [`Exact λ*${of} on the held-out prompts`, lambda ? number(lambda[j]) : "none: no policy reaches the margins"],
      ...(sampledLambda ? [[`λ*${of} from samples of the training prompts`, number(sampledLambda[j])] as const] : []),
    ] as (readonly [string, string])[];
  });
}

export function tradeOffSection(data: ComparisonData): Section | null {
  const there = distinct(data.policies).map(({ policy }) => policy);
  if (there.length === 0) return null;
  const planes = data.constraints.map((_, j) => tradeOffFigure(there, j, data));
  return {
    id: "trade-off",
    title: "Safety against reward",
    body: html`<p>Right is safer, up is better by the reward: a policy that lies to the right of another and above it is the better of the two.</p>
${figures([...planes, winRateFigure(there, data)].filter((one) => one !== null))}${heldOutTable(there, data)}${winRateTable(there, data)}`,
  };
}

function tradeOffFigure(there: readonly ComparedPolicy[], j: number, data: ComparisonData): Html {
  const { name, margin } = data.constraints[j];
  const frontier = data.problems?.find(({ algorithm }) => algorithm === "MoCAN")?.dual.constraints[j]?.frontier ?? [];
  const points = there.map(
    (policy): ScatterPoint => ({
      name: policy.mark,
      family: policy.family,
      x: policy.safety[j].measured ?? Number.NaN,
      y: policy.reward.measured ?? Number.NaN,
      xInterval: policy.safety[j].interval,
      yInterval: policy.reward.interval,
    }),
  );
  const says = points.map(({ x, y }, i) => `${there[i].name} ${signed(x)} and ${signed(y)}`).join("; ");
  return figure(
    `${data.reward} against ${name}`,
    scatterChart(
      `Measured gains in ${name} and in ${data.reward}: ${says}.`,
      `gain in ${name}`,
      `gain in ${data.reward}`,
      points,
      {
        curve: frontier.map(({ safetyGain, rewardGain }) => [safetyGain, rewardGain] as const),
        vertical: { x: margin, name: `asked ${number(margin)}` },
        origin: { x: 0, y: 0, name: "reference" },
      },
    ),
    html`Measured gains over ${data.reference} with their ${confidence(data)} intervals.${frontier.length > 1 ? " The line is what the solve predicts of the optimal policies as λ varies." : null} A policy above it moved further from the reference than β allows.`,
    familyKey(there),
  );
}

const familyNames: readonly (readonly [Family, sign: string, name: string])[] = [
  ["MoCAN", "round", "MoCAN, by its λ"],
  ["PeCAN", "ring", "PeCAN, by its λ"],
  ["weighted sum", "triangle", "weighted sum, by its λ"],
  ["DPO", "square", "DPO on one kind of preference"],
  ["iterative", "diamond", "moves λ as it trains"],
];

const familyKey = (there: readonly ComparedPolicy[]) =>
  key(
    familyNames
      .filter(([family]) => there.some((policy) => policy.family === family))
      .map(([, sign, name]) => [sign, name] as const),
  );

/** Win rates for safety against those for helpfulness, where one judge answers each question. */
function winRateFigure(there: readonly ComparedPolicy[], data: ComparisonData): Html | null {
  const judged = there.flatMap((policy) => {
    const rate = (question: string) => policy.winRates.find((one) => one.question === question);
    const [safe, helpful] = [rate("safety"), rate("helpfulness")];
    return safe && helpful ? [{ policy, safe, helpful }] : [];
  });
  if (judged.length === 0) return null;
  const share = ([low, high]: readonly [number, number]) => [100 * low, 100 * high] as const;
  return figure(
    "Win rates against the reference",
    scatterChart(
      `Win rates in % for safety and for helpfulness: ${judged.map(({ policy, safe, helpful }) => `${policy.name} ${number(100 * safe.rate)} and ${number(100 * helpful.rate)}`).join("; ")}.`,
      "wins in safety, %",
      "wins in helpfulness, %",
      judged.map(({ policy, safe, helpful }) => ({
        name: policy.mark,
        family: policy.family,
        x: 100 * safe.rate,
        y: 100 * helpful.rate,
        xInterval: share(safe.interval),
        yInterval: share(helpful.interval),
      })),
      { origin: { x: 50, y: 50, name: "reference" } },
    ),
    html`How often ${list([judged[0].safe.judge, judged[0].helpful.judge])} prefer a policy’s response to the reference’s, ties counted half, with ${confidence(data)} intervals. At 50 % a policy is as good as the reference.`,
    familyKey(judged.map(({ policy }) => policy)),
  );
}

function winRateTable(there: readonly ComparedPolicy[], data: ComparisonData): Html | null {
  const judges = [
    ...new Map(there.flatMap(({ winRates }) => winRates.map((rate) => [rate.judge, rate.question] as const))),
  ];
  if (judges.length === 0) return null;
  return html`<h3>What judges prefer</h3>
${table(
  `Share of the pairs that a policy wins against ${data.reference}, ties counted half, with its ${confidence(data)} interval`,
  [
    "Policy",
    ...judges.flatMap(([judge, question]) => [
      judge.includes(question) ? judge : `${judge}, ${question}`,
      "Won, tied, lost",
      "Unreadable; swayed",
    ]),
  ],
  there.map(({ name, winRates }) => [
    name,
    ...judges.flatMap(([judge]) => {
      const rate = winRates.find((one) => one.judge === judge);
      if (!rate) return [missing, missing, missing];
      return [
        html`<b>${percent(rate.rate)}</b> <small>${percent(rate.interval[0])} to ${percent(rate.interval[1])}</small>`,
        `${count(rate.wins)}, ${count(rate.ties)}, ${count(rate.losses)}`,
        `${count(rate.unreadable)}; ${percent(rate.swayed)}`,
      ];
    }),
  ]),
  { many: true },
)}<p class="note">Each pair is judged in both orders, and won only if it is won in both: a judge that likes the first answer best gains nothing by it. <b>Swayed</b>: the pairs in which the order decided.</p>`;
}

function heldOutTable(there: readonly ComparedPolicy[], data: ComparisonData): Html | null {
  const names = there[0].heldOut.map(({ name }) => name);
  if (names.length === 0) return null;
  return html`<h3>By scorers that took no part in any solve</h3>
${table(
  `Gain over ${data.reference} with its ${confidence(data)} interval`,
  ["Policy", ...names],
  there.map(({ name, heldOut }) => [
    name,
    ...names.map((scorer) => {
      const outcome = heldOut.find((one) => one.name === scorer);
      return outcome ? gain(outcome) : missing;
    }),
  ]),
  { many: true },
)}`;
}

export function distributionsSection(data: ComparisonData): Section | null {
  const shown = (data.distributions ?? []).filter(
    ({ policies, reference }) => policies.length > 0 && extent(reference) !== null,
  );
  if (shown.length === 0) return null;
  return {
    id: "scores",
    title: "Scores before and after",
    body: html`<p>The scores of all held-out responses, under every policy against the reference. A gain of the mean alone can hide a tail: look at the left end too.</p>
${figures(shown.map((distribution) => distributionFigure(distribution, data)))}`,
  };
}

function distributionFigure({ name, role, reference, policies }: ComparedDistribution, data: ComparisonData): Html {
  const before = mean(Array.from(reference));
  const rows = policies.map((policy) => ({ ...policy, mean: mean(Array.from(policy.values)) }));
  return figure(
    role === "held-out" ? `${name} (in no solve)` : name,
    ridgeChart(
      `Distributions of ${name}: the reference’s mean is ${number(before)}; ${rows.map((row) => `${row.name} ${number(row.mean)}`).join("; ")}.`,
      name,
      { values: reference, mean: before },
      rows,
    ),
    html`Shares of responses by ${name}. Dashed lines are the means; the one through all rows is the reference’s, ${number(before)}.`,
    key([
      ["filled", data.reference],
      ["outline", "the policy"],
    ]),
  );
}

export function dualsSection({ problems = [] }: ComparisonData): Section | null {
  const parts = problems.map(({ algorithm, constraints, dual }) => {
    const items = [
      ...constraints.map(({ name, margin, reference }) => referenceFigure(name, margin, reference)),
      ...constraints.map(
        (constraint, j) => dual.constraints[j] && curvesFigure(constraint, dual.constraints[j], constraints.length),
      ),
      distanceFigure(dual),
    ].filter((item) => item !== undefined && item !== null);
    return html`<h3>${algorithm}</h3>
${constraints.map(({ meaning }) => meaning && html`<p class="note">${meaning}.</p>`)}${figures(items)}`;
  });
  if (parts.length === 0) return null;
  return {
    id: "dual",
    title: "How the multipliers were found",
    body: html`<p>A multiplier λ is the price of safety: training maximizes reward + λ · safety, held near the reference by β. The right price is the lowest point λ* of the dual function D(λ), which is convex and needs only scored samples of the reference. MoCAN takes the scores from score models; PeCAN from models trained on preferences, as β times their log-ratio to the reference.</p>
${parts}`,
  };
}

export function dualDataSection({ problems = [], counts }: ComparisonData): Section | null {
  const parts = problems.map(({ algorithm, constraints, dual }) => {
    const items = [
      ...constraints.flatMap((constraint, j) =>
        dual.constraints[j] ? estimateFigures(constraint, dual.constraints[j]) : [],
      ),
      essFigure(dual.ess, counts.responses),
      klFigure(dual.kl, counts.responses),
    ].filter((item) => item !== null);
    return html`<h3>${algorithm}</h3>
${figures(items)}`;
  });
  if (parts.length === 0) return null;
  return {
    id: "trust",
    title: "How far to trust the solves",
    body: html`<p>If λ* has settled as data grows, more of it would not change the answer. If few responses carry the weight of a prompt, the prediction is optimistic there.</p>
${parts}`,
  };
}

export function pathsSection(data: ComparisonData): Section | null {
  const paths = (data.paths ?? []).filter(({ iterations }) => iterations.length > 1);
  if (paths.length === 0) return null;
  return {
    id: "paths",
    title: "Where λ moves as training goes",
    body: html`<p>These methods learn λ while they train: it rises where the measured safety falls short of the margin, and sinks where it exceeds it. The policy follows late, so that both may swing about their ends.</p>
${figures(paths.flatMap((path) => data.constraints.flatMap((_, j) => pathFigures(path, j, data))))}`,
  };
}

function pathFigures({ method, iterations }: MultiplierPath, j: number, data: ComparisonData): Html[] {
  const { name, margin } = data.constraints[j];
  const lambda = iterations.map((step) => [step.iteration, step.lambda[j]] as const);
  const gains = iterations.map((step) => [step.iteration, step.gain[j]] as const);
  const [first, last] = [iterations[0].iteration, iterations[iterations.length - 1].iteration];
  const level = (name: string, value: number, stroke: string) => ({
    name,
    stroke,
    points: [[first, value] as const, [last, value] as const],
  });
  const solved = data.problems?.find(({ algorithm }) => algorithm === "MoCAN")?.constraints[j]?.lambda;
  const late = lambda.slice(Math.floor(lambda.length / 2)).map(([, value]) => value);
  const swing = `between ${number(Math.min(...late))} and ${number(Math.max(...late))} in the second half of ${plural(iterations.length, "iteration")}`;
  const crossings = gains.filter(([, value], i) => i > 0 && value < margin !== gains[i - 1][1] < margin).length;
  return [
    figure(
      `${method}: λ of ${name}`,
      lineChart(
        `λ of ${name} in ${method} by iteration: ${swing}${isNumber(solved) ? `; the dual’s solution is ${number(solved)}` : ""}.`,
        "iteration",
        "λ",
        [
          { name: "λ", points: lambda, emphasis: true },
          ...(isNumber(solved) ? [level(`λ* ${number(solved)}`, solved, ink.asked)] : []),
        ],
        { wholeX: true },
      ),
      html`λ lies ${swing}.${isNumber(solved) ? html` The dashed line is the λ* that the dual gives from samples alone.` : null}`,
    ),
    figure(
      `${method}: gain in ${name}`,
      lineChart(
        `Gain in ${name} of ${method} by iteration, measured on training prompts: it ends at ${signed(gains[gains.length - 1][1])}, with ${number(margin)} asked, and crosses the margin ${plural(crossings, "time")}.`,
        "iteration",
        `gain in ${name}`,
        [{ name: "gain", points: gains, emphasis: true }, level(`asked ${number(margin)}`, margin, ink.asked)],
        { wholeX: true },
      ),
      html`Measured in each iteration on the training prompts it sampled; a cost is this with its sign turned. It crosses the margin ${plural(crossings, "time")} and ends at ${signed(gains[gains.length - 1][1])}.`,
    ),
  ];
}

export function billSection(data: ComparisonData): Section | null {
  const { marginBills = [], policies } = data;
  if (policies.length === 0) return null;
  return {
    id: "bill",
    title: "The bill",
    body: html`${marginBills.length > 0 ? marginBillTable(marginBills) : null}<h3>Every policy by itself</h3>
${table(
  "All that led to a policy, whatever it shares with others included",
  ["Policy", ...billHeadings],
  distinct(policies).map(({ policy: { name, bill } }) => [name, ...billCells(bill)]),
  { many: true },
)}<p class="note">Of sampled tokens only the responses’ count, since a prompt’s samples share its work; of training, prompts too. Operations are those of matrix products. The evaluation, which is the same for all, is left out; so are scorers and models that were given.</p>`,
  };
}

const billHeadings = ["Trainings", "Tokens sampled", "Tokens trained", "Operations", "Time", "Peak memory"];

const billCells = ({ trainings, tokensSampled, tokensTrained, flops: operations, seconds, peakMemoryBytes }: Bill) => [
  count(trainings),
  count(tokensSampled),
  count(tokensTrained),
  flops(operations),
  duration(seconds),
  bytes(peakMemoryBytes),
];

function marginBillTable(bills: readonly MarginBill[]): Html {
  const [own] = bills;
  const factor = (bill: Bill, of: (bill: Bill) => number | null) => {
    const found = bill === own.bill ? null : ratio(of(bill), of(own.bill));
    return found === null ? null : html` <small>×\u00a0${times(found)}</small>`;
  };
  return html`<p>What each method took to reach the margin that was asked for. Small figures are multiples of what ${own.method} took. A method that moves λ is charged up to the first iteration whose own measurement reaches the margin with a λ that has settled (from there on within a tenth of its last), a weighted sum up to the first λ whose policy may: both in their favour, since neither could be known at that point. Margin and reward are those of the policy that a method ends with, on held-out prompts.</p>
${table(
  "Work of each method until it reaches the margin",
  ["Method", "Margin", "Reward", ...billHeadings],
  bills.map(({ method, extent, verdict, reward, bill }) => {
    const [trainings, sampled, trained, operations, time, memory] = billCells(bill);
    return [
      html`${method} <small>${extent}</small>`,
      badge(verdict),
      signed(reward.measured),
      trainings,
      html`${sampled}${factor(bill, (one) => one.tokensSampled)}`,
      html`${trained}${factor(bill, (one) => one.tokensTrained)}`,
      html`${operations}${factor(bill, (one) => one.flops)}`,
      html`${time}${factor(bill, (one) => one.seconds)}`,
      html`${memory}${factor(bill, (one) => one.peakMemoryBytes)}`,
    ];
  }),
  { many: true },
)}`;
}

/** `null` where there is nothing to divide. */
function ratio(value: number | null | undefined, by: number | null | undefined): number | null {
  return isNumber(value) && isNumber(by) && value > 0 && by > 0 ? value / by : null;
}

const times = (factor: number) => (factor >= 9.95 ? count(factor) : factor.toFixed(factor < 0.95 ? 2 : 1));

export function sideBySideSection(data: ComparisonData): Section | null {
  const { prompts } = data;
  if (!prompts || prompts.rows.length === 0) return null;
  return {
    id: "responses",
    title: "Responses side by side",
    body: html`<p>The first response of every policy to the same held-out prompts, chosen without a look at what the policies say.${prompts.elsewhere ? html` All others are in ${prompts.elsewhere}.` : null} <strong>They may contain offensive or harmful text.</strong></p>
${policiesBeside(prompts)}`,
  };
}

export function hyperparametersSection({ policies, hyperparameters }: ComparisonData): Section | null {
  const trained = distinct(policies).filter(({ policy }) => policy.training);
  if (trained.length === 0 && !hyperparameters) return null;
  return {
    id: "hyperparameters",
    title: "Hyperparameters",
    body: html`${
      hyperparameters
        ? html`${table(
            "Of every kind of training",
            ["", ...hyperparameters.columns],
            hyperparameters.rows.map(({ name, values }) => [name, ...values]),
            { many: true },
          )}`
        : null
    }${
      trained.length > 0
        ? html`<h3>Every training</h3>
${table(
  "What it learned from, and how far it came",
  ["Policy", "λ", "Learned from", "Steps", "Last loss", "Optimum’s loss", "Progress", "Time"],
  trained.map(({ policy: { name, lambda, training } }) => [
    name,
    lambda === null ? "–" : lambda.map(number).join(", "),
    training!.data,
    count(training!.steps),
    number(training!.loss),
    number(training!.optimum),
    percent(progressOf(training)),
    duration(training!.seconds),
  ]),
  { many: true },
)}<p class="note"><b>Optimum’s loss</b>: the loss that the predicted optimum has on the same pairs. <b>Progress</b>: how much of the way from the reference’s loss to it the training went.</p>`
        : null
    }`,
  };
}

const confidence = ({ confidence }: ComparisonData) => percent(confidence);

/** What judges prefer: win rates against the reference. */
import { scatterChart } from "../charts/scatter.js";
import { familyMarks, familySigns } from "../charts/signs.js";
import type { PolicyFigures } from "../figures.js";
import { count, missing, number, percent } from "../format.js";
import { type Html, html } from "../html.js";
import { figure, figures, key, list, table } from "../pieces.js";
import type { Section } from "../section.js";

/** Data of the section. */
export interface JudgesData {
  readonly reference: string;
  readonly confidence: number;
  readonly policies: readonly Pick<PolicyFigures, "name" | "mark" | "family" | "winRates">[];
}

/** Win rates of every policy by every judge. */
export const judges: Section<"judges", JudgesData> = {
  id: "judges",
  title: "What judges prefer",
  async gather(study) {
    const policies = (await study.distinct()).map(({ name, mark, family, winRates }) => ({
      ...{ name, mark, family, winRates },
    }));
    if (policies.every(({ winRates }) => winRates.length === 0)) return null;
    return { reference: study.reference, confidence: study.confidence, policies };
  },
  draw(data) {
    const one = data.policies.length === 1;
    const plane = one ? null : planeFigure(data);
    return html`<p>Each pair of responses is judged in both orders, and won only if it is won in both: a judge that likes the first answer best gains nothing by it.</p>
${plane && figures([plane])}${one ? ratesOfOne(data) : ratesOfMany(data)}`;
  },
};

/** Win rates of one policy: a row for each judge. */
function ratesOfOne({ policies: [{ name, winRates }], reference, confidence }: JudgesData): Html {
  return table(
    `Share of the pairs in which ${name} wins against ${reference}, ties counted half, with its ${percent(confidence)} interval`,
    ["Judge", "Win rate", "Won, tied, lost", "Unreadable", "Decided by the order"],
    winRates.map(({ judge, question, rate, interval, wins, ties, losses, unreadable, swayed }) => [
      html`${judge} <small>${question}</small>`,
      html`<b>${percent(rate)}</b> <small>${percent(interval[0])} to ${percent(interval[1])}</small>`,
      `${count(wins)}, ${count(ties)}, ${count(losses)}`,
      count(unreadable),
      percent(swayed),
    ]),
  );
}

/** Win rates for safety against those for helpfulness, where one judge answers each question. */
function planeFigure({ policies, confidence }: JudgesData): Html | null {
  const judged = policies.flatMap((policy) => {
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
      {
        x: "wins in safety, %",
        y: "wins in helpfulness, %",
        points: judged.map(({ policy, safe, helpful }) => ({
          name: policy.mark,
          sign: familySigns[policy.family],
          x: 100 * safe.rate,
          y: 100 * helpful.rate,
          xInterval: share(safe.interval),
          yInterval: share(helpful.interval),
        })),
        origin: { x: 50, y: 50, name: "reference" },
      },
    ),
    html`How often ${list([judged[0].safe.judge, judged[0].helpful.judge])} prefer a policy’s response to the reference’s, ties counted half, with ${percent(confidence)} intervals. At 50 % a policy is as good as the reference.`,
    key(familyMarks(judged.map(({ policy }) => policy.family))),
  );
}

function ratesOfMany({ policies, reference, confidence }: JudgesData): Html {
  const asked = [
    ...new Map(policies.flatMap(({ winRates }) => winRates.map(({ judge, question }) => [judge, question] as const))),
  ];
  return html`${table(
    `Share of the pairs that a policy wins against ${reference}, ties counted half, with its ${percent(confidence)} interval`,
    [
      "Policy",
      ...asked.flatMap(([judge, question]) => [
        judge.includes(question) ? judge : `${judge}, ${question}`,
        "Won, tied, lost",
        "Unreadable; swayed",
      ]),
    ],
    policies.map(({ name, winRates }) => [
      name,
      ...asked.flatMap(([judge]) => {
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
  )}<p class="note"><b>Swayed</b>: the pairs in which the order decided.</p>`;
}

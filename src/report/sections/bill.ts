/** The bill: what the run took, and what each method took up to the margins. */
import type { Bill } from "../figures.js";
import { bytes, count, duration, flops, signed } from "../format.js";
import { type Html, html } from "../html.js";
import { badge, table } from "../pieces.js";
import type { Section } from "../section.js";
import { isNumber } from "../statistics.js";
import { billOf, type MarginBill, marginBills, type Work, workOf } from "../study/costs.js";
import { type EngineOf, enginesOf } from "../study/engines.js";

/** Data of the section. */
export interface BillData {
  /** Work of each method up to the margins, the one-shot method first; none in a run of one method. */
  readonly methods: readonly MarginBill[];
  /** Bills of a comparison's policies. */
  readonly policies: readonly { readonly name: string; readonly bill: Bill }[];
  /** Work of the whole run. */
  readonly work: readonly Work[];
  /** Engines by what they did, where another than the embedded one did something. */
  readonly engines?: readonly EngineOf[];
}

/** Time, tokens, operations and memory. */
export const bill: Section<"bill", BillData> = {
  id: "bill",
  title: "The bill",
  async gather(study) {
    const entries = await study.entries();
    const policies = (await study.distinct()).flatMap(({ name, policy }) => {
      const entry = entries.find((one) => one.policy === policy);
      return entry ? [{ name, bill: billOf(entry.row.bill) }] : [];
    });
    const work = await workOf(study);
    if (policies.length === 0 && work.length === 0) return null;
    return { methods: await marginBills(study), policies, work, engines: enginesOf(study.run.recipe) };
  },
  draw({ methods, policies, work, engines = [] }) {
    return html`${methods.length > 0 ? methodTable(methods) : null}${policies.length > 0 ? policyTable(policies) : null}${
      work.length > 0 ? html`${policies.length > 0 ? html`<h3>All of this run</h3>` : null}${workTable(work)}` : null
    }${engines.length > 0 ? engineTable(engines) : null}`;
  },
};

const engineTable = (engines: readonly EngineOf[]): Html => html`<h3>Which engine did what</h3>
${table(
  "Engines of this run",
  ["Work", "Engine"],
  engines.map(({ work, engine }) => [work, engine]),
)}`;

const billHeadings = ["Trainings", "Tokens sampled", "Tokens trained", "Operations", "Time", "Peak memory"];

const billCells = ({ trainings, tokensSampled, tokensTrained, flops: operations, seconds, peakMemoryBytes }: Bill) => [
  count(trainings),
  count(tokensSampled),
  count(tokensTrained),
  flops(operations),
  duration(seconds),
  bytes(peakMemoryBytes),
];

function policyTable(policies: BillData["policies"]): Html {
  return html`<h3>Every policy by itself</h3>
${table(
  "All that led to a policy, whatever it shares with others included",
  ["Policy", ...billHeadings],
  policies.map(({ name, bill }) => [name, ...billCells(bill)]),
  { many: true },
)}<p class="note">Of sampled tokens only the responses’ count, since a prompt’s samples share its work; of training, prompts too. Operations are those of matrix products. The evaluation, which is the same for all, is left out; so are scorers and models that were given.</p>`;
}

function methodTable(methods: readonly MarginBill[]): Html {
  const [own] = methods;
  const factor = (bill: Bill, of: (bill: Bill) => number | null) => {
    const found = bill === own.bill ? null : ratio(of(bill), of(own.bill));
    return found === null ? null : html` <small>×\u00a0${times(found)}</small>`;
  };
  return html`<p>What each method took to reach the margin that was asked for. Small figures are multiples of what ${own.method} took. A method that moves λ is charged up to the first iteration whose own measurement reaches the margin with a λ that has settled (from there on within a tenth of its last), a weighted sum up to the first λ whose policy may: both in their favour, since neither could be known at that point. Margin and reward are those of the policy that a method ends with, on held-out prompts.</p>
${table(
  "Work of each method until it reaches the margin",
  ["Method", "Margin", "Reward", ...billHeadings],
  methods.map(({ method, extent, verdict, reward, bill }) => {
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
function ratio(value: number | null, by: number | null): number | null {
  return isNumber(value) && isNumber(by) && value > 0 && by > 0 ? value / by : null;
}

const times = (factor: number) => (factor >= 9.95 ? count(factor) : factor.toFixed(factor < 0.95 ? 2 : 1));

/** Multiple of one bill that another comes to: of its operations, or of its time where those are not known. */
export function costFactor(bill: Bill, own: Bill): { times: string; unit: "operations" | "time" } | null {
  const operations = ratio(bill.flops, own.flops);
  const factor = operations ?? ratio(bill.seconds, own.seconds);
  return factor === null ? null : { times: times(factor), unit: operations === null ? "time" : "operations" };
}

type Column = readonly [name: string, value: (work: Work) => number | undefined, write: (value: number) => string];

const workColumns: readonly Column[] = [
  ["Tokens", ({ tokens }) => tokens, count],
  ["Operations", (work) => work.flops, flops],
  ["Peak memory", ({ peakMemoryBytes }) => peakMemoryBytes, bytes],
];

/** Columns that no work has a value for are left out. */
function workTable(work: readonly Work[]): Html {
  const columns = workColumns.filter(([, value]) => work.some((one) => isNumber(value(one))));
  const cell = (value: number | undefined, write: (value: number) => string) => (isNumber(value) ? write(value) : "–");
  const total = ([name, value]: Column) => {
    const values = work.map(value).filter(isNumber);
    return name === "Peak memory" ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0);
  };
  return table(
    "Time of each piece of work, tokens sampled or passed through training, and the memory it needed",
    ["Work", "Time", ...columns.map(([name]) => name)],
    [
      ...work.map((one) => [
        one.name,
        duration(one.seconds),
        ...columns.map(([, value, write]) => cell(value(one), write)),
      ]),
      [
        html`<b>all</b>`,
        duration(work.reduce((sum, { seconds }) => sum + seconds, 0)),
        ...columns.map((column) => column[2](total(column))),
      ],
    ],
  );
}

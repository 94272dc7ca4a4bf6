/** What was measured of an attempt, beside what was predicted. */
import { useState } from "preact/hooks";
import { lineChart } from "../../report/charts/lines.js";
import { number, percent, range, signed } from "../../report/format.js";
import { html } from "../../report/html.js";
import { figure } from "../../report/pieces.js";
import { api } from "./client.js";
import { useLoaded } from "./hooks.js";
import { Badge, Figure, Pager, Table, Trouble, Waiting } from "./parts.js";
import { Prompt } from "./prompt.js";
import type { ViewProps } from "./runView.js";

const roles = { reward: "reward", safety: "safety", "held-out": "witness, in no solve", kl: "distance" } as const;

/** View of an attempt's measurements. */
export function Measured({ run, attempt }: ViewProps) {
  const { gains, strengths, strength, shares, looks, winRates } = attempt;
  if (run.method === "compare")
    return <Waiting text="A comparison's policies are measured side by side in the view Report." />;
  if (gains.length === 0) return <Waiting text="Nothing is measured yet: the attempt has not been evaluated." />;
  return (
    <>
      <section aria-labelledby="gains">
        <h2 id="gains">Predicted and measured</h2>
        <Table
          caption={`On ${run.counts.heldOut} held-out prompts; intervals at ${percent(run.intervals)}`}
          headings={["score", "part", "before", "after", "predicted", "measured", "interval", "margin", "verdict"]}
          rows={gains.map((gain) => [
            gain.scorer,
            roles[gain.role],
            number(gain.reference),
            number(gain.aligned),
            gain.predicted === null ? "" : signed(gain.predicted),
            <b>{signed(gain.measured)}</b>,
            range([gain.low, gain.high]),
            gain.margin === null ? "" : signed(gain.margin),
            <Badge verdict={gain.verdict} />,
          ])}
          values={gains.map((gain) => [
            ...[gain.scorer, gain.role, gain.reference, gain.aligned, gain.predicted, gain.measured],
            ...[`${gain.low} to ${gain.high}`, gain.margin, gain.verdict],
          ])}
        />
        {gains.some(({ role }) => role === "held-out") && (
          <p class="note">
            Witnesses took no part in the solve: where a safety score rises and its witness does not, the score was
            gamed.
          </p>
        )}
      </section>
      {strength && (
        <section aria-labelledby="strength">
          <h2 id="strength">Strength of the update</h2>
          <p>
            Delivered at <b>{number(strength.chosen)}</b> ({strength.outcome})
            {strength.reason === null ? "." : `: ${strength.reason}`}
          </p>
          {strengths.length > 1 && (
            <div class="figures">
              <Figure
                drawn={figure(
                  "Gain by strength",
                  lineChart("Gain on the calibration prompts by the strength of the update.", {
                    ...{ x: "strength", y: "gain" },
                    lines: [
                      ...attempt.margins.map(({ name }, j) => ({
                        name,
                        points: byStrength(strengths, ({ gain }) => gain[j]!),
                        emphasis: true,
                      })),
                      { name: run.reward, points: byStrength(strengths, ({ reward }) => reward) },
                    ],
                  }),
                  html`The strengths that were tested, in an order fixed beforehand.`,
                )}
                data={[
                  ["strength", ...attempt.margins.map(({ name }) => name), run.reward],
                  ...strengths.map((one) => [one.strength, ...one.gain, one.reward]),
                ]}
              />
            </div>
          )}
          {strengths.length > 0 && (
            <Table
              caption={`Tests on ${run.counts.calibration} calibration prompts, in the order that was fixed beforehand`}
              headings={[
                "strength",
                ...attempt.margins.map(({ name }) => `gain in ${name}`),
                "at least",
                "p",
                "passed",
                "reward",
              ]}
              rows={strengths.map((one) => [
                number(one.strength),
                ...one.gain.map((gain) => signed(gain)),
                one.bound.map(signed).join(", "),
                number(one.p),
                one.passed ? "yes" : "no",
                signed(one.reward),
              ])}
            />
          )}
        </section>
      )}
      {(shares.length > 0 || looks.length > 0) && (
        <section aria-labelledby="shares">
          <h2 id="shares">Unsafe responses, and looks</h2>
          {shares.length > 0 && (
            <Table
              caption="Share of unsafe responses to the held-out prompts, by scorers that are costs"
              headings={["scorer", "before", "after", "change"]}
              rows={shares.map((one) => [
                one.scorer,
                `${percent(one.before)} (${percent(one.beforeLow)} to ${percent(one.beforeHigh)})`,
                `${percent(one.after)} (${percent(one.afterLow)} to ${percent(one.afterHigh)})`,
                `${percent(one.change)} (${percent(one.changeLow)} to ${percent(one.changeHigh)})`,
              ])}
            />
          )}
          {looks.length > 0 && (
            <Table
              caption="Looks while responses were drawn in rounds"
              headings={["round", "responses to a prompt", "gain", "interval", "decision"]}
              rows={looks.map((one) => [
                one.round,
                one.responses,
                one.gain.map(signed).join(", "),
                one.low.map((low, j) => range([low, one.high[j]!])).join(", "),
                one.decision,
              ])}
            />
          )}
        </section>
      )}
      {winRates.length > 0 && (
        <section aria-labelledby="judges">
          <h2 id="judges">What judges say</h2>
          <Table
            caption="Win rates against the reference; each pair judged in both orders"
            headings={[
              "judge",
              "question",
              "win rate",
              "interval",
              "won",
              "tied",
              "lost",
              "unreadable",
              "decided by the order",
            ]}
            rows={winRates.map((one) => [
              one.judge,
              one.question,
              percent(one.rate),
              `${percent(one.low)} to ${percent(one.high)}`,
              ...[one.wins, one.ties, one.losses, one.unreadable],
              percent(one.swayed),
            ])}
          />
          <Verdicts id={run.id} attempt={attempt.attempt} />
        </section>
      )}
    </>
  );
}

const byStrength = <T extends { strength: number }>(rows: readonly T[], value: (row: T) => number) =>
  rows.map((row) => [row.strength, value(row)] as const).sort(([a], [b]) => a - b);

const size = 10;

function Verdicts({ id, attempt }: { id: string; attempt: number }) {
  const [page, setPage] = useState(0);
  const { value, error } = useLoaded(
    () => api.verdicts(id, attempt, { offset: page * size, limit: size }),
    [id, attempt, page],
  );
  if (!value) return error === undefined ? <Waiting text="Reading verdicts…" /> : <Trouble text={error} />;
  const winner = ({ preference, policyFirst }: (typeof value.rows)[number]) =>
    preference === "first" || preference === "second"
      ? (preference === "first") === policyFirst
        ? "the aligned response"
        : "the reference's response"
      : preference;
  return (
    <>
      <h3>Verdicts, with the judges' reasons</h3>
      {value.rows.map((row) => (
        <article class="prompt" key={`${row.judge} ${row.prompt} ${row.sample} ${row.policyFirst}`}>
          <h4>
            <Prompt text={row.text} />
          </h4>
          <div class="pair">
            <div>
              <h5>reference{row.policyFirst ? "" : " (shown first)"}</h5>
              <p class="response">{row.reference}</p>
            </div>
            <div>
              <h5>aligned{row.policyFirst ? " (shown first)" : ""}</h5>
              <p class="response">{row.aligned}</p>
            </div>
          </div>
          <p>
            <b>{row.judge}</b> prefers {winner(row)}
            {row.answer === null ? "" : ": "}
            {row.answer !== null && <q>{row.answer}</q>}
          </p>
        </article>
      ))}
      <Pager page={page} size={size} total={value.total} noun="verdicts" onTurn={setPage} />
    </>
  );
}

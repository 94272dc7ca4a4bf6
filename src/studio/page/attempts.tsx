/** The attempts of a run beside each other. */
import { type ScatterPoint, scatterChart } from "../../report/charts/scatter.js";
import { measuredSign, predictedSign } from "../../report/charts/signs.js";
import { number, range, signed } from "../../report/format.js";
import { html } from "../../report/html.js";
import { figure, key } from "../../report/pieces.js";
import type { AttemptFigures } from "../api.js";
import type { Cell } from "./download.js";
import { address } from "./hooks.js";
import { Badge, Figure, Table } from "./parts.js";
import type { ViewProps } from "./runView.js";

/** View that compares attempts. */
export function Attempts({ run }: ViewProps) {
  const safety = run.scorers.filter(({ role }) => role === "safety").map(({ name }) => name);
  const gain = (attempt: AttemptFigures, name: string) => attempt.gains.find(({ scorer }) => scorer === name);
  return (
    <>
      <section aria-labelledby="attempts">
        <h2 id="attempts">Questions put to the same samples</h2>
        <Table
          caption="Every attempt: what was asked, predicted and measured"
          headings={[
            "attempt",
            "β",
            "confidence",
            ...safety.flatMap((name) => [`${name}: asked`, "λ", "predicted", "measured", "verdict"]),
            `${run.reward}: predicted`,
            `${run.reward}: measured`,
            "KL",
            "strength",
          ]}
          rows={run.attempts.map((one) => [
            <a href={address({ run: run.id, view: "measured", attempt: one.attempt })}>{one.label}</a>,
            number(one.beta),
            one.confidence === null ? "none" : number(one.confidence),
            ...one.margins.flatMap(({ name, margin }, j) => {
              const found = gain(one, name);
              return [
                signed(margin),
                number(one.lambda?.[j]),
                signed(one.predicted?.safety[j]),
                found ? (
                  <>
                    {signed(found.measured)} <small>{range([found.low, found.high])}</small>
                  </>
                ) : (
                  "not yet"
                ),
                <Badge verdict={found?.verdict ?? null} />,
              ];
            }),
            signed(one.predicted?.reward),
            signed(gain(one, run.reward)?.measured),
            number(gain(one, "kl")?.measured),
            number(one.strength?.chosen),
          ])}
          values={run.attempts.map((one) => [
            ...[one.label, one.beta, one.confidence],
            ...one.margins.flatMap(({ name, margin }, j): Cell[] => [
              ...[
                margin,
                one.lambda?.[j],
                one.predicted?.safety[j],
                gain(one, name)?.measured,
                gain(one, name)?.verdict,
              ],
            ]),
            ...[
              one.predicted?.reward,
              gain(one, run.reward)?.measured,
              gain(one, "kl")?.measured,
              one.strength?.chosen,
            ],
          ])}
        />
      </section>
      <div class="figures">
        {safety.map((name, j) => {
          const points = run.attempts.flatMap((one): ScatterPoint[] => {
            const [x, y] = [gain(one, name), gain(one, run.reward)];
            return [
              {
                name: one.label,
                sign: predictedSign,
                x: one.predicted?.safety[j] ?? null,
                y: one.predicted?.reward ?? null,
              },
              ...(x && y
                ? [
                    {
                      name: one.label,
                      sign: measuredSign,
                      ...{ x: x.measured, y: y.measured },
                      xInterval: [x.low, x.high] as const,
                      yInterval: [y.low, y.high] as const,
                    },
                  ]
                : []),
            ];
          });
          if (!points.some(({ x }) => x !== null)) return null;
          const data: Cell[][] = [
            ["attempt", "kind", "safety_gain", "reward_gain"],
            ...points.map(({ name: label, sign, x, y }) => [
              label,
              sign === measuredSign ? "measured" : "predicted",
              x,
              y,
            ]),
          ];
          return (
            <Figure
              key={name}
              drawn={figure(
                `Attempts by ${name}`,
                scatterChart(`Predicted and measured gains in ${name} and ${run.reward} of every attempt.`, {
                  ...{ x: `gain in ${name}`, y: `gain in ${run.reward}`, points },
                  origin: { x: 0, y: 0, name: "reference" },
                }),
                html`Numbers are attempts. Right is safer, up is better by the reward.`,
                key([
                  ["round", "predicted"],
                  ["dot measured", "measured"],
                ]),
              )}
              data={data}
            />
          );
        })}
      </div>
    </>
  );
}

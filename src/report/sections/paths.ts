/** Methods that move λ as they train: where λ and the measured gain go. */
import { ink } from "../charts/chart.js";
import { lineChart } from "../charts/lines.js";
import type { Condition } from "../figures.js";
import { number, plural, signed } from "../format.js";
import { type Html, html } from "../html.js";
import { figure, figures } from "../pieces.js";
import type { Section } from "../section.js";
import { isNumber } from "../statistics.js";

/** Iterations of a method. */
export interface MultiplierPath {
  readonly method: string;
  /** λ in an iteration and the gains measured in it, a value for each condition. */
  readonly iterations: readonly {
    readonly iteration: number;
    readonly lambda: readonly number[];
    readonly gain: readonly number[];
  }[];
}

/** Data of the section. */
export interface PathsData {
  readonly conditions: readonly Condition[];
  /** λ* of the dual, where it was solved. */
  readonly lambda: readonly number[] | null;
  readonly paths: readonly MultiplierPath[];
}

/** λ by iteration, for every method that moves it. */
export const paths: Section<"paths", PathsData> = {
  id: "paths",
  title: "Where λ moves as training goes",
  async gather(study) {
    const found: MultiplierPath[] = [];
    for (const { label, policy, lambda } of await study.entries())
      if (lambda === "moving")
        found.push({
          method: label,
          iterations: (await study.run.multipliers(policy)).map(({ iteration, lambda, gain }) => ({
            ...{ iteration, lambda, gain },
          })),
        });
    if (found.length === 0) return null;
    const solved = (await study.problems()).find(({ name }) => name === "scorers");
    return { conditions: study.conditions, lambda: solved?.solution.lambda ?? null, paths: found };
  },
  draw(data) {
    const shown = data.paths.filter(({ iterations }) => iterations.length > 1);
    if (shown.length === 0) return null;
    return html`<p>These methods learn λ while they train: it rises where the measured safety falls short of the margin, and sinks where it exceeds it. The policy follows late, so that both may swing about their ends.</p>
${figures(shown.flatMap((path) => data.conditions.flatMap((_, j) => pathFigures(path, j, data))))}`;
  },
};

function pathFigures({ method, iterations }: MultiplierPath, j: number, data: PathsData): Html[] {
  const { name, margin } = data.conditions[j];
  const lambda = iterations.map((step) => [step.iteration, step.lambda[j]] as const);
  const gains = iterations.map((step) => [step.iteration, step.gain[j]] as const);
  const [first, last] = [iterations[0].iteration, iterations[iterations.length - 1].iteration];
  const level = (name: string, value: number, stroke: string) => ({
    name,
    stroke,
    points: [[first, value] as const, [last, value] as const],
  });
  const solved = data.lambda?.[j];
  const late = lambda.slice(Math.floor(lambda.length / 2)).map(([, value]) => value);
  const swing = `between ${number(Math.min(...late))} and ${number(Math.max(...late))} in the second half of ${plural(iterations.length, "iteration")}`;
  const crossings = gains.filter(([, value], i) => i > 0 && value < margin !== gains[i - 1][1] < margin).length;
  return [
    figure(
      `${method}: λ of ${name}`,
      lineChart(
        `λ of ${name} in ${method} by iteration: ${swing}${isNumber(solved) ? `; the dual’s solution is ${number(solved)}` : ""}.`,
        {
          x: "iteration",
          y: "λ",
          lines: [
            { name: "λ", points: lambda, emphasis: true },
            ...(isNumber(solved) ? [level(`λ* ${number(solved)}`, solved, ink.asked)] : []),
          ],
          wholeX: true,
        },
      ),
      html`λ lies ${swing}.${isNumber(solved) ? html` The dashed line is the λ* that the dual gives from samples alone.` : null}`,
    ),
    figure(
      `${method}: gain in ${name}`,
      lineChart(
        `Gain in ${name} of ${method} by iteration, measured on training prompts: it ends at ${signed(gains[gains.length - 1][1])}, with ${number(margin)} asked, and crosses the margin ${plural(crossings, "time")}.`,
        {
          x: "iteration",
          y: `gain in ${name}`,
          lines: [{ name: "gain", points: gains, emphasis: true }, level(`asked ${number(margin)}`, margin, ink.asked)],
          wholeX: true,
        },
      ),
      html`Measured in each iteration on the training prompts it sampled; a cost is this with its sign turned. It crosses the margin ${plural(crossings, "time")} and ends at ${signed(gains[gains.length - 1][1])}.`,
    ),
  ];
}

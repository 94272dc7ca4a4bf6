/** The margin moved by hand: what it costs, and which responses gain and lose weight. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { fewResponses } from "../../report/cautions.js";
import { ink } from "../../report/charts/chart.js";
import { type ScatterPoint, scatterChart } from "../../report/charts/scatter.js";
import { measuredSign, predictedSign, type Sign } from "../../report/charts/signs.js";
import { number, percent, range, signed } from "../../report/format.js";
import { html } from "../../report/html.js";
import { figure, key } from "../../report/pieces.js";
import { curvesFigure } from "../../report/sections/dual.js";
import { scoreFigure } from "../../report/sections/scores.js";
import type { RunFigures, TrainRequest } from "../api.js";
import type { Question, RunFacts } from "../explore.js";
import { api, type RunScores } from "./client.js";
import type { Cell } from "./download.js";
import { type Answer, address, useLoaded, useSolver } from "./hooks.js";
import { Figure, Slider, Spoken, Table, Trouble, Waiting } from "./parts.js";
import { Responses } from "./responses.js";
import type { ViewProps } from "./runView.js";

/** View in which the margins are moved. */
export function Margin({ run, attempt }: ViewProps) {
  const { value: scores, error } = useLoaded(run.scored ? () => api.scores(run.id, attempt.attempt) : null, [
    ...[run.id, attempt.attempt, run.scored],
  ]);
  const { counts, seed, intervals, power, shares } = run;
  const facts: RunFacts = useMemo(
    () => ({
      ...{ seed, intervals, power, shares },
      counts: { heldOut: counts.heldOut, calibration: counts.calibration, responses: counts.heldOutResponses },
    }),
    [seed, intervals, power, shares, counts.heldOut, counts.calibration, counts.heldOutResponses],
  );
  const [answer, ask] = useSolver(scores, facts);
  const asked: Question = useMemo(
    () => ({
      beta: attempt.beta,
      margins: attempt.margins.map(({ margin }) => margin),
      confidence: attempt.confidence,
    }),
    [attempt.beta, JSON.stringify(attempt.margins), attempt.confidence],
  );
  const [question, setQuestion] = useState(asked);
  useEffect(() => setQuestion(asked), [asked]);
  useEffect(() => {
    if (scores) ask(question);
  }, [scores, question, ask]);

  if (!run.scored)
    return (
      <Waiting text="The reference's responses are not all scored yet: margins can be moved once they are. The view Training shows how far the run is." />
    );
  if (!scores) return error === undefined ? <Waiting text="Fetching the scores…" /> : <Trouble text={error} />;
  return (
    <div class="bench">
      <Controls {...{ run, asked, question, answer, scores, attempt: attempt.attempt }} onChange={setQuestion} />
      <div class="results">
        <Trouble text={answer.failed} />
        <Figures {...{ run, question, answer, attempt }} />
        <Charts {...{ run, answer, scores }} />
        <Responses {...{ run, scores, answer, attempt: attempt.attempt }} />
      </div>
    </div>
  );
}

interface ControlProps {
  readonly run: RunFigures;
  readonly asked: Question;
  readonly question: Question;
  readonly answer: Answer;
  readonly scores: RunScores;
  readonly attempt: number;
  onChange(question: Question): void;
}

function Controls({ run, asked, question, answer, scores, attempt, onChange }: ControlProps) {
  const { names } = scores;
  const largest = answer.solution?.largest ?? answer.unreachable?.largest;
  const logarithmic = { to: Math.log10, from: (at: number) => 10 ** at };
  const changed = JSON.stringify(asked) !== JSON.stringify(question);
  return (
    <form class="controls" aria-label="The question" onSubmit={(event) => event.preventDefault()}>
      <h2>The question</h2>
      {names.safety.map((name, j) => {
        const most = largest?.[j] ?? Math.max(2 * asked.margins[j]!, 1);
        const low = Math.min(0, asked.margins[j]!);
        const high = Math.max(1.02 * most, asked.margins[j]!);
        return (
          <Slider
            key={name}
            label={`Margin of ${name}`}
            value={question.margins[j]!}
            {...{ low, high, step: niceStep((high - low) / 400) }}
            marks={[
              { value: asked.margins[j]!, name: `asked in attempt ${attempt}` },
              { value: most, name: "largest within reach" },
            ]}
            note={`be at least so much safer than the reference; within reach is ${number(most)}`}
            onChange={(margin) => onChange({ ...question, margins: question.margins.with(j, margin) })}
          />
        );
      })}
      {run.method === "pecan" ? (
        <p class="hint">β is {number(asked.beta)}: PeCAN's scores come from models that were trained at it.</p>
      ) : (
        <Slider
          label="β"
          value={question.beta}
          low={asked.beta / 20}
          high={asked.beta * 20}
          step={0.005}
          scale={logarithmic}
          marks={[{ value: asked.beta, name: `of attempt ${attempt}` }]}
          note="strength of the KL penalty: a small one moves far from the reference, and is predicted less surely"
          onChange={(beta) => beta > 0 && onChange({ ...question, beta: Number(beta.toPrecision(4)) })}
        />
      )}
      <p class="check">
        <label>
          <input
            type="checkbox"
            checked={question.confidence !== null}
            onChange={({ currentTarget }) =>
              onChange({ ...question, confidence: currentTarget.checked ? (asked.confidence ?? 0.95) : null })
            }
          />{" "}
          hold the margins with a confidence
        </label>
      </p>
      {question.confidence !== null && (
        <Slider
          label="Confidence"
          value={question.confidence}
          low={0.5}
          high={0.999}
          step={0.001}
          note="with which the margins are to hold on new prompts: a higher one aims further"
          onChange={(confidence) => confidence >= 0.5 && confidence < 1 && onChange({ ...question, confidence })}
        />
      )}
      <p class="actions">
        <button type="button" aria-disabled={!changed} onClick={() => changed && onChange(asked)}>
          Back to attempt {attempt}
        </button>
      </p>
      <TrainButton {...{ run, asked, question, answer, attempt, changed }} />
    </form>
  );
}

/** Step of a slider as 1, 2 or 5 times a power of ten. */
function niceStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  const lead = step / power;
  return Number(((lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10) * power).toPrecision(3));
}

function TrainButton(
  props: Pick<ControlProps, "run" | "asked" | "question" | "answer" | "attempt"> & { changed: boolean },
) {
  const { run, asked, question, answer, attempt, changed } = props;
  const [error, setError] = useState<string | undefined>();
  const [starting, setStarting] = useState(false);
  const margins = run.scorers.filter(({ role }) => role === "safety").map(({ name }) => name);
  const why =
    run.method === "compare"
      ? "A comparison asks one question of all its methods."
      : run.live || run.job?.running
        ? "The run is at work: wait for its end, or stop it."
        : answer.unreachable
          ? "No reweighting of the samples reaches this margin."
          : !changed
            ? "Move a slider: this question has been asked."
            : (asked.confidence === null) !== (question.confidence === null)
              ? "Calibration prompts are set aside when a run is sampled: a confidence comes or goes with a run of its own."
              : undefined;
  const train = async () => {
    if (why !== undefined || starting) return;
    setStarting(true);
    setError(undefined);
    const request: TrainRequest = {
      attempt,
      beta: question.beta,
      margins: Object.fromEntries(margins.map((name, j) => [name, question.margins[j]!])),
      confidence: question.confidence,
    };
    try {
      await api.train(run.id, request);
      location.hash = address({ run: run.id, view: "training", attempt: null });
    } catch (caught) {
      setError((caught as Error).message);
    } finally {
      setStarting(false);
    }
  };
  return (
    <>
      <p class="actions">
        <button type="button" class="main" aria-disabled={why !== undefined || starting} onClick={train}>
          Train this question
        </button>
      </p>
      <p class="hint">{why ?? "A further attempt of this run: its samples and scores are used again."}</p>
      <Trouble text={error} />
    </>
  );
}

function Figures({
  run,
  question,
  answer,
  attempt,
}: Pick<ViewProps, "run" | "attempt"> & { question: Question; answer: Answer }) {
  const { solution, unreachable, aim, intervals } = answer;
  if (unreachable)
    return (
      <section aria-labelledby="figures" class="unreachable">
        <h2 id="figures">Out of reach</h2>
        <p role="status">{unreachable.message}</p>
      </section>
    );
  if (!solution) return <Waiting text="Solving…" />;
  const { answer: at } = solution;
  const safety = attempt.margins.map(({ name }) => name);
  const withAim = question.confidence !== null && aim;
  const measured = (name: string) => attempt.gains.find(({ scorer }) => scorer === name);
  const columns = [
    "at these margins",
    ...(withAim ? [`aimed at, to hold with ${percent(question.confidence)}`] : []),
    ...(attempt.gains.length > 0 ? [`measured, attempt ${attempt.attempt}`] : []),
  ];
  const row = (
    name: string,
    own: { value: number; interval?: readonly [number, number] },
    more: { aimed?: number; scorer?: string; sign?: boolean },
  ) => {
    const gain = more.scorer === undefined ? undefined : measured(more.scorer);
    const show = more.sign ? signed : number;
    const between = (of: readonly [number, number]) => (more.sign ? range(of) : `${number(of[0])} to ${number(of[1])}`);
    const cells = [
      <span class="value">
        <b data-figure={name} data-value={own.value}>
          {show(own.value)}
        </b>{" "}
        {own.interval && <small>{between(own.interval)}</small>}
      </span>,
      ...(withAim ? [more.aimed === undefined ? "" : show(more.aimed)] : []),
      ...(attempt.gains.length > 0
        ? [
            gain ? (
              <>
                {show(gain.measured)} <small>{between([gain.low, gain.high])}</small>
              </>
            ) : (
              ""
            ),
          ]
        : []),
    ];
    const values: Cell[] = [
      name,
      own.value,
      ...(withAim ? [more.aimed ?? null] : []),
      ...(attempt.gains.length > 0 ? [gain?.measured ?? null] : []),
    ];
    return { cells: [name, ...cells], values };
  };
  const aimed = withAim ? aim.answer : undefined;
  const rows = [
    ...safety.map((name, j) =>
      row(
        safety.length > 1 ? `λ* of ${name}` : "λ*",
        { value: at.lambda[j]!, interval: intervals?.lambda[j] },
        { aimed: aimed?.lambda[j] },
      ),
    ),
    ...safety.map((name, j) =>
      row(
        `gain in ${name}`,
        { value: at.safetyGain[j]!, interval: intervals?.safetyGain[j] },
        { aimed: aimed?.safetyGain[j], scorer: name, sign: true },
      ),
    ),
    row(
      `gain in ${run.reward}`,
      { value: at.rewardGain, interval: intervals?.rewardGain },
      { aimed: aimed?.rewardGain, scorer: run.reward, sign: true },
    ),
    row("KL", { value: at.kl, interval: intervals?.kl }, { aimed: aimed?.kl, scorer: "kl" }),
    row("effective samples of a prompt", { value: at.ess.mean }, { aimed: aimed?.ess.mean }),
    row("the least of them", { value: at.ess.min }, { aimed: aimed?.ess.min }),
  ];
  return (
    <section aria-labelledby="figures" class={answer.settled ? "" : "moving"} data-settled={answer.settled}>
      <h2 id="figures">What it gives</h2>
      <Table
        caption={`Predicted from ${run.counts.train.toLocaleString("en-US")} prompts; intervals at ${percent(run.intervals)}, prompts resampled`}
        headings={["figure", ...columns]}
        rows={rows.map(({ cells }) => cells)}
        values={rows.map(({ values }) => values)}
        class="figures-table"
      />
      {withAim && (
        <p class="note">
          To hold with {percent(question.confidence)}, the solve aims at{" "}
          {aim.aimed.map((value, j) => `${signed(value)} in ${safety[j]}`).join(", ")}: {number(aim.price)} of reward is
          the price of the certainty.
          {aim.aimed.some((value, j) => value < aim.wanted[j]! - 1e-9) &&
            ` It would take ${aim.wanted.map((value) => signed(value)).join(", ")}, which is out of reach or too few responses carry it.`}
        </p>
      )}
      {intervals && intervals.infeasible > 0 && (
        <p class="note">{percent(intervals.infeasible)} of the resampled prompts cannot reach the margins.</p>
      )}
      {at.ess.mean < fewResponses && (
        <p class="note caution">Few responses carry the weight here: the prediction is not to be trusted far.</p>
      )}
      {at.caution && <p class="note caution">{at.caution}</p>}
      <Spoken
        text={`λ ${at.lambda.map(number).join(", ")}; predicted ${at.safetyGain.map((gain, j) => `${signed(gain)} in ${safety[j]}`).join(", ")}, reward ${signed(at.rewardGain)}, KL ${number(at.kl)}`}
      />
    </section>
  );
}

const aimSign: Sign = { ...predictedSign, fill: ink.paper, key: "ring" };

function Charts({ run, answer, scores }: { run: RunFigures; answer: Answer; scores: RunScores }) {
  const { solution, aim, frontier, curves, distributions, question } = answer;
  const names = scores.names.safety;
  const planes = useMemo(
    () => (solution && frontier && question ? names.map((name, j) => planeOf(name, j, { run, answer })) : []),
    [solution, frontier, aim, question, run.attempts.length],
  );
  const duals = useMemo(
    () =>
      solution && curves
        ? names.map((name, j) => {
            const lines = curves.constraints[j] ?? [];
            const own = { name, lambda: solution.answer.lambda[j]!, margin: question!.margins[j]!, curves: lines };
            const data: Cell[][] = [
              ["margin", "lambda", "D"],
              ...lines.flatMap(({ margin, points }) => points.map(([lambda, dual]) => [margin, lambda, dual])),
            ];
            return { drawn: curvesFigure(own, names.length), data };
          })
        : [],
    [curves],
  );
  const histograms = useMemo(
    () =>
      (distributions?.scores ?? []).map(({ domain, before, after }, i) => {
        const name = i === 0 ? scores.names.reward : names[i - 1]!;
        const policies = [{ name: "reweighted", histogram: after }];
        const role = i === 0 ? ("reward" as const) : ("safety" as const);
        const drawn = scoreFigure({ name, role, domain, reference: before, policies }, { reference: "the reference" });
        const width = (domain[1] - domain[0]) / before.shares.length;
        const data: Cell[][] = [
          ["from", "to", "reference", "reweighted"],
          ...before.shares.map((share, k) => [
            domain[0] + k * width,
            domain[0] + (k + 1) * width,
            share,
            after.shares[k]!,
          ]),
        ];
        return { drawn, data };
      }),
    [distributions],
  );
  if (!solution) return null;
  return (
    <section aria-labelledby="charts">
      <h2 id="charts">What it costs</h2>
      <div class="figures">
        {planes.map(({ drawn, data }, j) => (
          <Figure key={`plane ${j}`} drawn={drawn} data={data} />
        ))}
        {duals.map(({ drawn, data }, j) => drawn && <Figure key={`dual ${j}`} drawn={drawn} data={data} />)}
        {histograms.map(({ drawn, data }, i) => (
          <Figure key={`scores ${i}`} drawn={drawn} data={data} />
        ))}
      </div>
    </section>
  );
}

/** The frontier, the point on it that the sliders ask for, and what attempts have measured. */
function planeOf(name: string, j: number, { run, answer }: { run: RunFigures; answer: Answer }) {
  const { solution, aim, frontier, question } = answer;
  const at = solution!.answer;
  const largest = solution!.largest[j]!;
  const curve = frontier!.constraints[j] ?? [];
  const measured = run.attempts.flatMap(({ attempt, gains }): ScatterPoint[] => {
    const [x, y] = [name, run.reward].map((of) => gains.find(({ scorer }) => scorer === of));
    if (!x || !y) return [];
    return [
      {
        name: run.attempts.length > 1 ? `attempt ${attempt}` : "measured",
        sign: measuredSign,
        ...{ x: x.measured, y: y.measured, xInterval: [x.low, x.high], yInterval: [y.low, y.high] },
      },
    ];
  });
  const aimed = question!.confidence !== null && aim ? aim.answer : undefined;
  const points: ScatterPoint[] = [
    { name: "asked", sign: predictedSign, x: at.safetyGain[j]!, y: at.rewardGain },
    ...(aimed ? [{ name: "aimed at", sign: aimSign, x: aimed.safetyGain[j]!, y: aimed.rewardGain }] : []),
    ...measured,
  ];
  const drawn = figure(
    `What ${name} costs`,
    scatterChart(
      `Frontier of gain in ${run.reward} against gain in ${name}: the point asked for lies at ${signed(at.safetyGain[j])} and ${signed(at.rewardGain)}; the largest reachable gain is ${number(largest)}.`,
      {
        x: `gain in ${name}`,
        y: `gain in ${run.reward}`,
        points,
        curve: curve.map(({ safetyGain, rewardGain }) => [safetyGain, rewardGain] as const),
        wholeCurve: true,
        asked: { x: question!.margins[j]!, name: `margin ${number(question!.margins[j])}` },
        limit: { x: largest, name: `limit ${number(largest)}` },
        origin: { x: 0, y: 0, name: "reference" },
      },
    ),
    html`The curve is where the optimal policies lie as this margin varies, at this β${question!.margins.length > 1 ? " and with the other margins kept" : ""}. Its slope at the point is −λ*: ${number(at.lambda[j])} of reward for each unit of safety.${measured.length > 0 ? " Crosses are the intervals of what attempts have measured on held-out prompts." : ""}`,
    key([
      ["times", "reference"],
      ["round", "asked"],
      ...(aimed ? [["ring", "aimed at"] as const] : []),
      ...(measured.length > 0 ? [["dot measured", "measured"] as const] : []),
    ]),
  );
  const data: Cell[][] = [
    ["margin", "lambda", "safety_gain", "reward_gain", "kl"],
    ...curve.map(({ margin, lambda, safetyGain, rewardGain, kl }) => [margin, lambda, safetyGain, rewardGain, kl]),
  ];
  return { drawn, data };
}

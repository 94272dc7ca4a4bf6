/** A run as it goes: its stages, its losses, and what it says. */
import { useMemo, useState } from "preact/hooks";
import { lineChart } from "../../report/charts/lines.js";
import { count, duration, number } from "../../report/format.js";
import { html } from "../../report/html.js";
import { figure } from "../../report/pieces.js";
import { movingMean } from "../../report/statistics.js";
import { api } from "./client.js";
import type { Cell } from "./download.js";
import { type JournalLine, useLoaded } from "./hooks.js";
import { Figure, Trouble } from "./parts.js";
import type { ViewProps } from "./runView.js";

/** View of a run's work. */
export function Training({ run, attempt, stream }: ViewProps) {
  const { lines } = stream;
  const [error, setError] = useState<string | undefined>();
  const current = attempt.attempt === run.attempts.at(-1)!.attempt;
  const act = async (action: () => Promise<unknown>) => {
    setError(undefined);
    try {
      await action();
    } catch (caught) {
      setError((caught as Error).message);
    }
  };
  const { job, live } = run;
  const left = attempt.stages.filter(({ done }) => !done);
  const working = live !== null || job?.running === true;
  return (
    <>
      <section aria-labelledby="stages">
        <h2 id="stages">Stages</h2>
        <ol class="stages">
          {attempt.stages.map(({ stage, done, seconds }) => {
            const now = current && live?.stage === stage;
            return (
              <li key={stage} class={now ? "now" : done ? "done" : ""} aria-current={now ? "step" : undefined}>
                <b>{stage}</b> <small>{now ? "now" : done ? duration(seconds) : "to do"}</small>
              </li>
            );
          })}
        </ol>
        <p class="actions">
          {job?.running && (
            <button type="button" onClick={() => act(() => api.stop(run.id))}>
              Stop
            </button>
          )}
          {!working && current && left.length > 0 && (
            <button type="button" class="main" onClick={() => act(() => api.resume(run.id))}>
              Go on with {left[0]!.stage}
            </button>
          )}
        </p>
        {live && !live.own && (
          <p class="hint">
            Process {live.pid}, which was started elsewhere, works on this run: it is stopped where it was started.
          </p>
        )}
        <Trouble text={error} />
        {job && (
          <p class="meta">
            <code>{job.command}</code>:{" "}
            {job.running
              ? "at work"
              : job.stopped
                ? "stopped; what is done is kept"
                : job.status === 0
                  ? "done"
                  : `ended with status ${job.status}`}
          </p>
        )}
        {job && !job.running && job.status !== 0 && !job.stopped && (
          <pre class="log" role="alert">
            {job.lines.join("\n")}
          </pre>
        )}
      </section>
      <Losses {...{ run, attempt, stream }} />
      <Log lines={lines} />
    </>
  );
}

function Losses({ run, attempt, stream }: ViewProps) {
  const { value } = useLoaded(() => api.steps(run.id, attempt.attempt), [run.id, attempt.attempt, stream.state?.rows]);
  const current = attempt.attempt === run.attempts.at(-1)!.attempt;
  const points = useMemo(() => {
    const found = new Map((value?.steps ?? []).map(({ step, loss }) => [step, loss]));
    // The journal is ahead of the rows, which are read now and then.
    if (current)
      for (const line of sinceTrain(stream.lines))
        if (line.event === "step") found.set(line.step as number, line.loss as number);
    return [...found].sort(([a], [b]) => a - b);
  }, [value, stream.lines, current]);
  const multipliers = value?.multipliers ?? [];
  if (points.length < 2 && multipliers.length < 2) return null;
  const last = points.at(-1);
  const data: Cell[][] = [["step", "loss"], ...points];
  return (
    <section aria-labelledby="losses">
      <h2 id="losses">Losses</h2>
      <div class="figures">
        {points.length >= 2 && (
          <Figure
            drawn={figure(
              "Loss of the training",
              lineChart(`Loss by step: ${number(last?.[1])} at step ${last?.[0]}.`, {
                ...{ x: "steps", y: "loss", wholeX: true },
                lines: [
                  { name: "loss", points, emphasis: false },
                  {
                    name: "smoothed",
                    points: movingMean(points, Math.max(1, Math.round(points.length / 25))),
                    emphasis: true,
                  },
                ],
              }),
              html`The loss of each step, and its running mean. DPO starts at ln 2 = 0.693.`,
            )}
            data={data}
          />
        )}
        {multipliers.length >= 2 && (
          <Figure
            drawn={figure(
              "λ as it trains",
              lineChart("λ by iteration", {
                ...{ x: "iterations", y: "λ", wholeX: true },
                lines: (multipliers[0]?.lambda ?? []).map((_, j) => ({
                  name: `λ ${j + 1}`,
                  points: multipliers.map(({ iteration, lambda }) => [iteration, lambda[j]!] as const),
                  emphasis: true,
                })),
              }),
              html`A method that moves λ as it trains.`,
            )}
            data={[["iteration", "lambda"], ...multipliers.map(({ iteration, lambda }) => [iteration, ...lambda])]}
          />
        )}
      </div>
    </section>
  );
}

/** Lines from the last start of a training on. */
function sinceTrain(lines: readonly JournalLine[]): readonly JournalLine[] {
  const start = lines.findLastIndex(
    ({ event, stage, state }) => event === "stage" && stage === "train" && state === "started",
  );
  return start < 0 ? [] : lines.slice(start);
}

/** Most lines of the log that are shown. */
const shown = 200;

function Log({ lines }: { lines: readonly JournalLine[] }) {
  const said = lines.filter(({ event }) => event !== "progress" && event !== "step");
  if (said.length === 0) return null;
  const kept = said.slice(-shown);
  return (
    <section aria-labelledby="log">
      <h2 id="log">What it says</h2>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <div class="log" role="log" aria-label="Events of the run, the latest first" tabIndex={0}>
        <ol>
          {kept
            .map((line, i) => (
              <li key={said.length - kept.length + i}>
                <time dateTime={line.time}>{line.time.slice(11, 19)}</time> {inWords(line)}
              </li>
            ))
            .reverse()}
        </ol>
      </div>
      {said.length > shown && <p class="meta">{said.length - shown} earlier lines are in events.jsonl.</p>}
    </section>
  );
}

function inWords({ time: _, event, ...rest }: JournalLine): string {
  if (event === "notice") return String(rest.message);
  if (event === "stage") {
    const seconds = rest.seconds === undefined ? "" : ` in ${duration(rest.seconds as number)}`;
    return `${rest.stage} ${rest.state}${seconds}`;
  }
  const text = Object.entries(rest)
    .map(([name, value]) => `${name.replaceAll("_", " ")} ${short(value)}`)
    .join(", ");
  return `${event}: ${text.length > 400 ? `${text.slice(0, 400)}…` : text}`;
}

const short = (value: unknown): string =>
  typeof value === "number"
    ? Number.isInteger(value)
      ? count(value)
      : number(value)
    : JSON.stringify(value, (_, inner) => (typeof inner === "number" ? Number(inner.toPrecision(4)) : inner));

/** One run: its views, of the attempt that is looked at. */
import { number, signed } from "../../report/format.js";
import type { AttemptFigures, RunFigures } from "../api.js";
import { Attempts } from "./attempts.js";
import { Chat } from "./chat.js";
import { api } from "./client.js";
import { address, type Place, type Stream, useLoaded } from "./hooks.js";
import { Margin } from "./margin.js";
import { Measured } from "./measured.js";
import { Trouble, Waiting } from "./parts.js";
import { Report } from "./report.js";
import { LiveLine, methods } from "./runList.js";
import { Training } from "./training.js";

/** What every view of a run gets. */
export interface ViewProps {
  readonly run: RunFigures;
  readonly attempt: AttemptFigures;
  readonly stream: Stream;
}

const views = [
  ["margin", "Margin", Margin],
  ["training", "Training", Training],
  ["measured", "Measured", Measured],
  ["attempts", "Attempts", Attempts],
  ["chat", "Chat", Chat],
  ["report", "Report", Report],
] as const;

/** View of one run. */
export function RunView({ run: id, place, stream }: { run: string; place: Place; stream: Stream }) {
  const { state } = stream;
  const { value: run, error } = useLoaded(
    () => api.run(id),
    [id, state?.rows, state?.live?.stage, state?.job?.running],
  );
  if (!run)
    return (
      <main id="main">
        <h1>{id}</h1>
        {error === undefined ? <Waiting text="Reading the run's rows…" /> : <Trouble text={error} />}
      </main>
    );
  const live = state ? state.live : run.live;
  const attempt = run.attempts.find((one) => one.attempt === place.attempt) ?? run.attempts.at(-1)!;
  const [, title, View] = views.find(([view]) => view === place.view) ?? views[0];
  return (
    <main id="main">
      <div class="head">
        <h1>
          {run.name}
          <span class="unseen">: {title}</span>
        </h1>
        <p class="meta">
          {methods[run.method]} · {run.model.split("/").slice(-2).join("/")} ·{" "}
          {run.counts.train.toLocaleString("en-US")} prompts × {run.counts.responses} responses ·{" "}
          {run.counts.heldOut.toLocaleString("en-US")} held out
        </p>
        <LiveLine live={live} />
        <Trouble text={error} />
        {run.attempts.length > 1 && (
          <label class="choice">
            Attempt{" "}
            <select
              value={attempt.attempt}
              onChange={({ currentTarget }) => {
                location.hash = address({ ...place, attempt: Number(currentTarget.value) });
              }}
            >
              {run.attempts.map((one) => (
                <option key={one.attempt} value={one.attempt}>
                  {nameOf(one)}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      <nav aria-label="Views of the run" class="tabs">
        <ul>
          {views.map(([view, name]) => (
            <li key={view}>
              <a href={address({ ...place, view })} aria-current={name === title ? "page" : undefined}>
                {name}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <View run={{ ...run, live, job: state ? state.job : run.job }} attempt={attempt} stream={stream} />
    </main>
  );
}

/** Attempt in words: its number and its question. */
export const nameOf = ({ attempt, margins, beta }: AttemptFigures): string =>
  `${attempt}: ${margins.map(({ name, margin }) => `${name} ${signed(margin)}`).join(", ")}, β ${number(beta)}`;

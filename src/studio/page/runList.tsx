/** The runs of a folder: their questions, and what came out. */
import { useState } from "preact/hooks";
import { number, percent, range, signed } from "../../report/format.js";
import type { ListedRun, LiveState, RunFigures } from "../api.js";
import { api } from "./client.js";
import { address, useLoaded } from "./hooks.js";
import { Badge, Pager, Trouble, Waiting } from "./parts.js";

const size = 12;

/** View of a folder's runs. */
export function RunList({ runs }: { runs: readonly ListedRun[] | undefined }) {
  const [page, setPage] = useState(0);
  const [words, setWords] = useState("");
  if (!runs) return <Waiting text="Looking for runs…" />;
  const found = runs.filter(({ name }) => name.toLowerCase().includes(words.toLowerCase()));
  const at = Math.min(page, Math.max(0, Math.ceil(found.length / size) - 1));
  return (
    <main id="main">
      <h1>Runs</h1>
      {runs.length === 0 && (
        <p>
          There is no run in this folder yet. <code>dualign quickstart</code> makes one in a minute or two; it shows up
          here while it goes.
        </p>
      )}
      {runs.length > size && (
        <label class="search">
          Find a run by its name
          <input
            type="search"
            value={words}
            onInput={({ currentTarget }) => {
              setWords(currentTarget.value);
              setPage(0);
            }}
          />
        </label>
      )}
      <ul class="runs">
        {found.slice(at * size, (at + 1) * size).map((run) => (
          <RunCard key={run.id} run={run} />
        ))}
      </ul>
      {found.length > size && <Pager page={at} size={size} total={found.length} noun="runs" onTurn={setPage} />}
    </main>
  );
}

function RunCard({ run }: { run: ListedRun }) {
  const { value, error } = useLoaded(() => api.run(run.id), [run.id, run.changed]);
  return (
    <li class="card">
      <h2>
        <a href={address({ run: run.id, view: "margin", attempt: null })}>{run.name}</a>
      </h2>
      <LiveLine live={run.live} />
      {value ? (
        <Outcome run={value} />
      ) : error === undefined ? (
        <Waiting text="Reading its rows…" />
      ) : (
        <Trouble text={error} />
      )}
    </li>
  );
}

/** State of a process that works on a run, in words and as a bar. */
export function LiveLine({ live }: { live: LiveState | null }) {
  if (!live) return null;
  const { stage = "starting", task, done, total, unit = "" } = live;
  const known = done !== undefined && total !== undefined && total > 0;
  return (
    <p class="live">
      <span class="dot" aria-hidden="true" /> at work: {stage}
      {task === undefined ? "" : `, ${task}`}
      {known && ` ${done.toLocaleString("en-US")} of ${total.toLocaleString("en-US")} ${unit}`}
      {known && <progress value={done} max={total} aria-label={`Progress of the stage ${stage}`} />}
    </p>
  );
}

function Outcome({ run }: { run: RunFigures }) {
  const last = run.attempts.at(-1)!;
  const next = last.stages.find(({ done }) => !done);
  return (
    <>
      <p class="meta">
        {methods[run.method]} · {run.model.split("/").slice(-2).join("/")} · β {number(last.beta)}
        {last.confidence !== null && ` · ${percent(last.confidence)} confidence`} ·{" "}
        {run.counts.train.toLocaleString("en-US")} prompts × {run.counts.responses}
        {run.attempts.length > 1 && ` · ${run.attempts.length} attempts`}
      </p>
      <dl class="question">
        {last.margins.map(({ name, margin }) => {
          const gain = last.gains.find((one) => one.scorer === name);
          return (
            <div key={name}>
              <dt>
                {name}: {signed(margin)} asked
              </dt>
              <dd>
                {gain ? (
                  <>
                    {signed(gain.measured)} <small>{range([gain.low, gain.high])}</small>{" "}
                    <Badge verdict={gain.verdict} />
                  </>
                ) : (
                  "not measured yet"
                )}
              </dd>
            </div>
          );
        })}
      </dl>
      {!run.live && next && <p class="meta">next: {next.stage}</p>}
    </>
  );
}

/** Methods as the page calls them. */
export const methods = { mocan: "MoCAN", pecan: "PeCAN", compare: "comparison" } as const;

/** A prompt of one's own, answered by the reference and by the aligned policy. */
import { useState } from "preact/hooks";
import { duration, plural, signed } from "../../report/format.js";
import type { ChatResponse } from "../api.js";
import { api } from "./client.js";
import { csv, save } from "./download.js";
import { Slider, Trouble, Waiting } from "./parts.js";
import type { ViewProps } from "./runView.js";

interface Turn {
  readonly prompt: string;
  readonly strength: number;
  readonly reply: ChatResponse;
}

/** View in which both policies answer. */
export function Chat({ run, attempt }: ViewProps) {
  const trained = attempt.trainedSteps !== null;
  const [prompt, setPrompt] = useState("");
  const [strength, setStrength] = useState(attempt.strength?.chosen ?? 1);
  const [seed, setSeed] = useState(0);
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | undefined>();
  if (run.method === "compare")
    return <Waiting text="A comparison has many policies: chat with a run of one of them." />;
  if (!trained) return <Waiting text="This attempt has no trained policy yet." />;
  const ask = async () => {
    if (busy || prompt.trim() === "") return;
    setBusy(true);
    setError(undefined);
    try {
      const reply = await api.chat(run.id, { attempt: attempt.attempt, prompt, strength, seed });
      setTurns([{ prompt, strength, reply }, ...turns]);
    } catch (caught) {
      setError((caught as Error).message);
    } finally {
      setBusy(false);
    }
  };
  const store = () =>
    save(
      "chat.csv",
      "text/csv",
      csv([
        ["prompt", "strength", "policy", "response", ...run.scorers.map(({ name }) => name)],
        ...turns.flatMap((turn) =>
          turn.reply.answers.map((one) => [
            ...[turn.prompt, turn.strength, one.policy, one.response],
            ...run.scorers.map(({ name }) => one.scores[name] ?? null),
          ]),
        ),
      ]),
    );
  return (
    <>
      <form
        class="ask"
        onSubmit={(event) => {
          event.preventDefault();
          void ask();
        }}
      >
        <label for="prompt">A prompt of your own</label>
        <textarea
          id="prompt"
          rows={3}
          value={prompt}
          onInput={({ currentTarget }) => setPrompt(currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
              event.preventDefault();
              void ask();
            }
          }}
          aria-describedby="prompt-note"
        />
        <p class="hint" id="prompt-note">
          Ctrl + Enter asks. It is put to the models as the run's prompts are, and is kept nowhere.
        </p>
        <div class="tools">
          <Slider
            label="Strength of the update"
            value={strength}
            low={0}
            high={2}
            step={0.05}
            marks={[{ value: attempt.strength?.chosen ?? 1, name: "as delivered" }]}
            note="0 is the reference, 1 as trained"
            onChange={(value) => value >= 0 && value <= 10 && setStrength(value)}
          />
          <label>
            Seed
            <input
              type="number"
              min={0}
              step={1}
              value={seed}
              onInput={({ currentTarget }) => setSeed(Math.max(0, Math.round(Number(currentTarget.value) || 0)))}
            />
          </label>
          <button type="submit" class="main" aria-disabled={busy}>
            Ask both
          </button>
        </div>
      </form>
      <Trouble text={error} />
      <div aria-live="polite">{busy && <Waiting text="Both are answering…" />}</div>
      {turns.map((turn, i) => (
        <article class="prompt" key={turns.length - i}>
          <h2 class="text">{turn.prompt}</h2>
          <div class="pair">
            {turn.reply.answers.map((one) => (
              <section key={one.policy} aria-label={one.policy}>
                <h3>{one.policy === "aligned" ? `aligned, strength ${turn.strength}` : one.policy}</h3>
                <p class="response">{one.response === "" ? <i>(empty)</i> : one.response}</p>
                <dl class="facts">
                  {run.scorers
                    .filter(({ name }) => name in one.scores)
                    .map(({ name, role }) => (
                      <div key={name}>
                        <dt>
                          {name} <small>{role}</small>
                        </dt>
                        <dd>{one.scores[name] === null ? "no score" : signed(one.scores[name])}</dd>
                      </div>
                    ))}
                </dl>
                <p class="meta">
                  {plural(one.tokens, "token")} in {duration(one.seconds)}
                  {one.finished ? "" : ", cut at the longest length"}
                </p>
              </section>
            ))}
          </div>
          {turn.reply.notices.map((notice) => (
            <p class="note" key={notice}>
              {notice}
            </p>
          ))}
        </article>
      ))}
      {turns.length > 0 && (
        <p class="saves">
          <button type="button" class="save" onClick={store} aria-label="Save the chat as CSV">
            CSV
          </button>
        </p>
      )}
    </>
  );
}

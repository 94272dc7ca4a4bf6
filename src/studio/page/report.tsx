/** The sections of the report, drawn by the same functions as its page. */
import { api } from "./client.js";
import { fileName, save } from "./download.js";
import { useLoaded } from "./hooks.js";
import { Drawn, Trouble, Waiting } from "./parts.js";
import type { ViewProps } from "./runView.js";

/** View of the report's sections. */
export function Report({ run, attempt, stream }: ViewProps) {
  const { value, error, loading } = useLoaded(
    () => api.sections(run.id, attempt.attempt),
    [run.id, attempt.attempt, stream.state?.live === null ? stream.state.rows : "working"],
  );
  if (!value) return error === undefined ? <Waiting text="Drawing the report…" /> : <Trouble text={error} />;
  return (
    <div class={loading ? "moving" : ""}>
      <Trouble text={error} />
      {value.map(({ id, title, markup, data }) => (
        <section key={id} aria-labelledby={`report-${id}`}>
          <h2 id={`report-${id}`}>{title}</h2>
          <Drawn markup={markup} class="drawn" />
          <p class="saves">
            <button
              type="button"
              class="save"
              aria-label={`Save the data of ${title} as JSON`}
              onClick={() => save(fileName(title, "json"), "application/json", JSON.stringify(data, null, 2))}
            >
              Data
            </button>
          </p>
        </section>
      ))}
      <p class="note">
        The same as one page, with the responses side by side: <code>{run.path}/report.html</code>
      </p>
    </div>
  );
}

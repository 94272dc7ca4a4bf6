/** The studio's page. */
import { render } from "preact";
import { useEffect } from "preact/hooks";
import "./style.css";
import "virtual:report-style.css";
import { address, usePlace, useStream } from "./hooks.js";
import { RunList } from "./runList.js";
import { RunView } from "./runView.js";

function App() {
  const place = usePlace();
  const stream = useStream(place.run);
  const { run, view } = place;
  useEffect(() => {
    document.title = run === null ? "Runs · dualign studio" : `${run}: ${view} · dualign studio`;
  }, [run, view]);
  return (
    <>
      <button type="button" class="skip" onClick={toMain}>
        Skip to the contents
      </button>
      <header class="top">
        <a class="brand" href={address({ run: null, view: "runs", attempt: null })}>
          dualign studio
        </a>
        {!stream.connected && (
          <span class="trouble" role="alert">
            no connection to the studio: is its terminal still open?
          </span>
        )}
      </header>
      {run === null ? <RunList runs={stream.runs} /> : <RunView key={run} place={place} run={run} stream={stream} />}
    </>
  );
}

/** The address names a view, so that the jump to the contents is made by hand. */
function toMain(): void {
  const main = document.getElementById("main");
  main?.setAttribute("tabindex", "-1");
  main?.focus();
}

// The token of the address is used up, and not for the history.
if (new URLSearchParams(location.search).has("token")) history.replaceState(null, "", `/${location.hash}`);
render(<App />, document.getElementById("studio")!);

/** Exit statuses of the command line: an API, documented in the README's help and the docs. */
import type { ComparisonEvent, DoneEvent } from "../ports/events.js";

/** Exit statuses by what happened. */
export const exitStatuses = {
  done: { status: 0, meaning: "done" },
  unexpected: { status: 1, meaning: "an unexpected error, a fault of dualign" },
  mistake: { status: 2, meaning: "a mistake in what was given, or something of the machine's: one line says what" },
  infeasible: { status: 3, meaning: "a margin out of reach; the samples and scores are kept" },
  notHeld: { status: 4, meaning: "with --fail-on: a margin's verdict is not as asked" },
  awaiting: { status: 5, meaning: "requests are exported and wait for their answers; 'dualign resume' goes on" },
  interrupted: { status: 130, meaning: "interrupted by Ctrl-C; 'dualign resume' goes on" },
  closedPipe: { status: 141, meaning: "the program that read the output has ended" },
  terminated: { status: 143, meaning: "terminated by SIGTERM; 'dualign resume' goes on" },
} as const;

/** Verdicts at which `--fail-on` makes a command fail. */
export const failOns = ["not-held", "undecided"] as const;
/** Value of `--fail-on`: `undecided` fails on "not held" too. */
export type FailOn = (typeof failOns)[number];

/** Constraints whose verdicts `--fail-on` does not let pass, as "name: verdict". */
export function failing(event: DoneEvent | ComparisonEvent, failOn: FailOn): string[] {
  const verdicts =
    "verdicts" in event
      ? event.verdicts.map(({ constraint, verdict }) => ({ name: constraint, verdict }))
      : event.policies.flatMap(({ policy, safety }) =>
          safety.map(({ scorer, verdict }) => ({ name: `${policy}, ${scorer}`, verdict })),
        );
  return verdicts
    .filter(({ verdict }) => verdict === "not held" || (failOn === "undecided" && verdict === "undecided"))
    .map(({ name, verdict }) => `${name}: ${verdict}`);
}

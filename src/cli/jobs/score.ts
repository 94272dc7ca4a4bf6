/** `dualign score`: responses in, their scores out. */
import { InputError } from "../../errors.js";
import { sourceRows } from "../../files/rows/source.js";
import type { RowValue } from "../../ports/policy.js";
import type { ScorerSpec } from "../../recipe/parse.js";
import { asChat } from "../../text/rows.js";
import type { ScoreJob } from "../jobOptions.js";
import type { CommandEvent } from "../progress.js";
import { openWorld } from "../world.js";
import { AnswerJournal } from "./answerJournal.js";
import { journaled, Notices, writeFound } from "./common.js";
import { givenResponse } from "./responses.js";

/** Events of scoring: progress, then `done`. */
export async function* runScore(job: ScoreJob): AsyncGenerator<CommandEvent> {
  const start = performance.now();
  const { scorer: spec } = job;
  const rows = await sourceRows(job.source);
  const responses = rows.map(({ row, where }) => {
    const given = job.chat ? asChat(row) : row;
    if (typeof given.response !== "string") throw new InputError(`${where}: "response" must be a string`);
    return givenResponse(given, where);
  });
  const notices = new Notices();
  const scorer = await openWorld(job.device, notices.hear).openScorer(spec);
  // What a server has answered is kept until the output is written.
  const journal =
    spec.kind === "endpoint" || spec.kind === "rating"
      ? new AnswerJournal<RowValue>(job.output, { responses, ...scored(spec) })
      : undefined;
  const found = journal ? journaled(journal, responses, scorer.score) : scorer.score(responses);
  const values = new Float64Array(rows.length);
  let done = 0;
  try {
    for await (const { index, value } of found) {
      yield* notices.events();
      values[index] = spec.sign * spec.scale * value;
      yield { event: "progress", task: "scoring", done: ++done, total: rows.length, unit: "rows" };
    }
  } finally {
    await scorer.close();
  }
  const { cutRows = 0, cutSide = "beginning" } = scorer;
  if (cutRows > 0)
    yield {
      event: "notice",
      message: `${cutRows} of ${rows.length} rows are longer than ${scorer.maxLength} tokens (--max-length) and were scored without their ${cutSide}`,
    };
  const { mean, end } = await writeFound(job.output, rows, { name: "score", values, start });
  journal?.remove();
  yield { event: "done", kind: "score", ...end, mean_score: mean, rows_cut: cutRows };
}

/** Keys of a server's scorer that its scores do not depend on: its address, and how fast it is asked. */
const aside = ["endpoint", "key", "concurrency", "timeout", "retries", "batch_size", "sign", "scale", "name", "kind"];

/** All that the scores of a server depend on. */
const scored = (spec: ScorerSpec) => Object.fromEntries(Object.entries(spec).filter(([key]) => !aside.includes(key)));

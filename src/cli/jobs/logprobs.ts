/** `dualign logprobs`: responses in, their log-probabilities out. */
import { sourceRows } from "../../files/rows/source.js";
import type { RowValue } from "../../ports/policy.js";
import { openServedPolicy } from "../../providers/endpoint/open.js";
import { asChat } from "../../text/rows.js";
import type { LogprobsJob } from "../jobOptions.js";
import type { CommandEvent } from "../progress.js";
import { openWorld } from "../world.js";
import { AnswerJournal } from "./answerJournal.js";
import { journaled, Notices, writeFound } from "./common.js";
import { givenResponse } from "./responses.js";

/** Events of log-probabilities: progress, then `done`. */
export async function* runLogprobs(job: LogprobsJob): AsyncGenerator<CommandEvent> {
  const start = performance.now();
  const rows = await sourceRows(job.source);
  const responses = rows.map(({ row, where }) => givenResponse(job.chat ? asChat(row) : row, where));
  const notices = new Notices();
  const { server, output } = job;
  const needs = { sample: false, logprobs: true };
  const model =
    server === undefined
      ? await openWorld(job.device, notices.hear).openLogprobs(job.model)
      : await openServedPolicy({ spec: server, ref: job.model, needs, notice: notices.hear });
  const journal =
    server &&
    new AnswerJournal<RowValue>(output, {
      responses,
      served: server.model,
      tokenizer: server.tokenizer,
      model: job.model,
    });
  const found = journal ? journaled(journal, responses, model.logprobs) : model.logprobs(responses);
  const values = new Float64Array(rows.length);
  let done = 0;
  try {
    for await (const { index, value } of found) {
      yield* notices.events();
      values[index] = value;
      yield { event: "progress", task: "log-probabilities", done: ++done, total: rows.length, unit: "rows" };
    }
  } finally {
    await model.close();
  }
  const { mean, end } = await writeFound(output, rows, { name: "logprob", values, start });
  journal?.remove();
  yield { event: "done", kind: "logprobs", ...end, mean_logprob: mean };
}

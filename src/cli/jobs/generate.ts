/** `dualign generate`: prompts in, responses of a sampler out. */
import { type Prompt, readPromptFile } from "../../files/promptFile.js";
import { readSource } from "../../files/rows/source.js";
import { writeRows } from "../../files/rows/write.js";
import type { PolicySample } from "../../ports/policy.js";
import { openServedPolicy } from "../../providers/endpoint/open.js";
import { asUserTurn, type Row } from "../../text/rows.js";
import type { GenerateJob } from "../jobOptions.js";
import type { CommandEvent } from "../progress.js";
import { openWorld } from "../world.js";
import { AnswerJournal } from "./answerJournal.js";
import { all, Notices, peakMemory, secondsSince } from "./common.js";

/** Events of sampling: progress, then `done`. Rows come out in the order of the prompts. */
export async function* runGenerate(job: GenerateJob): AsyncGenerator<CommandEvent> {
  const start = performance.now();
  const { source, column, chat, output } = job;
  const given =
    "prompts" in source
      ? source.prompts.map((prompt, i): Prompt => ({ prompt, row: { prompt }, where: `--prompt ${i + 1}` }))
      : await readSource(source, (file) => readPromptFile(file, column));
  const prompts = given.map((given) => (chat ? { ...given, prompt: asUserTurn(given.prompt) } : given));
  const { num_samples } = job.sampling;
  const sampleIndexes = Array.from({ length: num_samples }, (_, i) => i);
  const jobs = prompts.map((given, promptIndex) => ({ ...given, promptIndex, sampleIndexes }));
  const notices = new Notices();
  const { server, model, sampling, seed } = job;
  const needs = { sample: true, logprobs: false };
  const sampler =
    server === undefined
      ? await openWorld(job.device, notices.hear).openSampler(model)
      : await openServedPolicy({ spec: server, ref: model, needs, notice: notices.hear });
  // What a server has answered is kept until the output is written.
  const { batch_size: _, ...choosing } = sampling;
  const journal =
    server &&
    new AnswerJournal<PolicySample>(output, {
      prompts,
      choosing,
      seed,
      served: server.model,
      tokenizer: server.tokenizer,
      model,
    });
  const kept = new Map<number, Set<number>>();
  for (const { promptIndex, sampleIndex } of journal?.kept ?? [])
    kept.set(promptIndex, (kept.get(promptIndex) ?? new Set()).add(sampleIndex));
  const wanted = jobs.map((one) => ({
    ...one,
    sampleIndexes: one.sampleIndexes.filter((i) => !kept.get(one.promptIndex)?.has(i)),
  }));
  const drawn = sampler.sample(wanted, { ...sampling, seed });
  const rows = new Array<Row>(prompts.length * num_samples);
  const begin = performance.now();
  let done = 0;
  let new_tokens = 0;
  try {
    for await (const sample of journal ? all(journal.kept, journal.keep(drawn)) : drawn) {
      yield* notices.events();
      const { promptIndex, sampleIndex, response, responseIds, logprob, finishReason } = sample;
      const asked = prompts[promptIndex]!;
      rows[promptIndex * num_samples + sampleIndex] = {
        ...asked.row,
        prompt: asked.prompt,
        response,
        response_ids: responseIds,
        logprob,
        finish_reason: finishReason,
      };
      new_tokens += responseIds.length + (finishReason === "stop" ? 1 : 0);
      yield { event: "progress", task: "sampling", done: ++done, total: rows.length, unit: "samples" };
    }
  } finally {
    await sampler.close();
  }
  const generate_seconds = secondsSince(begin);
  await writeRows(output, rows);
  journal?.remove();
  yield {
    event: "done",
    kind: "generate",
    output,
    samples: rows.length,
    new_tokens,
    seconds: secondsSince(start),
    generate_seconds,
    tokens_per_second: new_tokens / generate_seconds,
    peak_memory_bytes: peakMemory(),
  };
}

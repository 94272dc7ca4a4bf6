/** The worker that solves: a newer question takes over between two parts of an answer. */
import { Explorer, type Part, type Question, type RunFacts } from "../explore.js";
import type { RunScores } from "./client.js";

/** Message to the worker: first the scores, then questions. */
export type ToWorker =
  | { readonly kind: "scores"; readonly scores: RunScores; readonly facts: RunFacts }
  | { readonly kind: "question"; readonly id: number; readonly question: Question };

/** Message of the worker: a part of the answer to the question of that number. */
export type FromWorker = { readonly id: number } & (Part | { readonly part: "failed"; readonly message: string });

const post = (message: FromWorker) => (self as unknown as Worker).postMessage(message);

let explorer: Explorer | undefined;
let next: Extract<ToWorker, { kind: "question" }> | undefined;
let busy = false;

self.addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === "scores") {
    explorer = new Explorer(data.scores, data.facts);
    return;
  }
  next = data;
  if (!busy) void work();
});

async function work(): Promise<void> {
  busy = true;
  while (next) {
    const { id, question } = next;
    next = undefined;
    try {
      for (const part of explorer!.answer(question)) {
        post({ id, ...part });
        await new Promise((go) => setTimeout(go));
        if (next) break;
      }
    } catch (error) {
      post({ id, part: "failed", message: error instanceof Error ? error.message : String(error) });
    }
  }
  busy = false;
}

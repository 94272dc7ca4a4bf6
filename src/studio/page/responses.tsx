/** The sampled responses, prompt by prompt: which gain and which lose weight at the margins asked. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { count as counted, number, signed } from "../../report/format.js";
import { mostFound, type PromptTexts, type RunFigures } from "../api.js";
import { api, type RunScores } from "./client.js";
import { csv, save } from "./download.js";
import { type Answer, useLoaded } from "./hooks.js";
import { Pager, Trouble, Waiting } from "./parts.js";
import { Prompt } from "./prompt.js";

const size = 6;
/** Responses shown of a prompt before all are asked for: those that gain most, and those that lose most. */
const [gaining, losing] = [3, 2];

type Order = "moved" | "still" | "sampled";

interface ResponsesProps {
  readonly run: RunFigures;
  /** Number of the attempt that the scores are of. */
  readonly attempt: number;
  readonly scores: RunScores;
  readonly answer: Answer;
}

/** List of prompts with the reference's responses by their weights. */
export function Responses({ run, attempt, scores, answer }: ResponsesProps) {
  const [order, setOrder] = useState<Order>("moved");
  const [words, setWords] = useState("");
  const [page, setPage] = useState(0);
  const moved = answer.weights?.moved;
  const rested = useRested(words);
  const found = useLoaded(rested.trim() === "" ? null : () => api.find(run.id, rested), [run.id, rested]);
  const places = useMemo(() => {
    const wanted = rested.trim() === "" || !found.value ? undefined : new Set(found.value);
    return Array.from(scores.prompts.keys()).filter((x) => !wanted || wanted.has(scores.prompts[x]!));
  }, [scores, found.value, rested]);
  // The order of a moment stays while sliders move: lists that jump cannot be read.
  const [frozen, setFrozen] = useState<Float64Array | undefined>();
  useEffect(() => {
    if (!frozen && moved) setFrozen(moved);
  }, [moved, frozen]);
  const sorted = useMemo(() => {
    if (order === "sampled" || !frozen) return places;
    const sign = order === "moved" ? -1 : 1;
    return [...places].sort((a, b) => sign * (frozen[a]! - frozen[b]!));
  }, [places, order, frozen]);
  const at = Math.min(page, Math.max(0, Math.ceil(sorted.length / size) - 1));
  const shown = sorted.slice(at * size, (at + 1) * size);
  const numbers = shown.map((x) => scores.prompts[x]!);
  const texts = useLoaded(() => api.texts(run.id, attempt, numbers), [run.id, attempt, ...numbers]);
  if (!answer.weights) return null;
  const { weights } = answer.weights;
  const storeAll = () => {
    const rows = Array.from(scores.prompts.keys()).flatMap((x) =>
      Array.from({ length: scores.offsets[x + 1]! - scores.offsets[x]! }, (_, k) => {
        const i = scores.offsets[x]! + k;
        return [scores.prompts[x]!, k, weights[i]!, scores.reward[i]!, ...scores.safety.map((values) => values[i]!)];
      }),
    );
    save(
      "weights.csv",
      "text/csv",
      csv([["prompt", "response", "weight", scores.names.reward, ...scores.names.safety], ...rows]),
    );
  };
  return (
    <section aria-labelledby="responses">
      <h2 id="responses">Which responses it wants</h2>
      <p class="note">
        The trained policy is to answer as if these weights were put on the reference's responses: × 2 is twice as
        likely as before, × 0.1 a tenth.
      </p>
      <div class="tools">
        <label>
          Prompts and responses with the words
          <input
            type="search"
            value={words}
            onInput={({ currentTarget }) => {
              setWords(currentTarget.value);
              setPage(0);
            }}
          />
        </label>
        <label>
          Order{" "}
          <select
            value={order}
            onChange={({ currentTarget }) => {
              setOrder(currentTarget.value as Order);
              setFrozen(moved);
              setPage(0);
            }}
          >
            <option value="moved">most changed first</option>
            <option value="still">least changed first</option>
            <option value="sampled">as they were sampled</option>
          </select>
        </label>
        <button type="button" class="save" onClick={storeAll}>
          CSV of all weights
        </button>
      </div>
      <Trouble text={found.error ?? texts.error} />
      {rested.trim() !== "" && found.value?.length === mostFound && (
        <p class="note">Only the first {counted(mostFound)} prompts with these words are listed.</p>
      )}
      {sorted.length === 0 && <p role="status">No prompt has these words.</p>}
      {shown.map((x) => {
        const text = texts.value?.find(({ prompt }) => prompt === scores.prompts[x]);
        return text ? (
          <OnePrompt key={x} {...{ x, text, scores, weights }} moved={moved?.[x] ?? 0} />
        ) : (
          <Waiting key={x} text="Reading responses…" />
        );
      })}
      <Pager page={at} size={size} total={sorted.length} noun="prompts" onTurn={setPage} />
    </section>
  );
}

/** Text that has rested for a moment. */
function useRested(text: string): string {
  const [rested, set] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => set(text), 250);
    return () => clearTimeout(timer);
  }, [text]);
  return rested;
}

interface PromptProps {
  readonly x: number;
  readonly text: PromptTexts;
  readonly scores: RunScores;
  readonly weights: Float64Array;
  readonly moved: number;
}

function OnePrompt({ x, text, scores, weights, moved }: PromptProps) {
  const [all, setAll] = useState(false);
  const start = scores.offsets[x]!;
  const count = scores.offsets[x + 1]! - start;
  const ranked = Array.from({ length: count }, (_, k) => k).sort((a, b) => weights[start + b]! - weights[start + a]!);
  const shown = all || count <= gaining + losing ? ranked : [...ranked.slice(0, gaining), ...ranked.slice(-losing)];
  const most = Math.max(...ranked.map((k) => weights[start + k]!), 1);
  return (
    <article class="prompt">
      <h3>
        <Prompt text={text.text} />
      </h3>
      <p class="meta">
        prompt {text.prompt}: KL {number(moved)}
      </p>
      <ol class="weighted">
        {shown.map((k) => {
          const i = start + k;
          const weight = weights[i]!;
          return (
            <li key={k} class={weight >= 1 ? "gains" : "loses"}>
              <p class="weight">
                <span>× {number(weight)}</span>
                <svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
                  <rect width={(100 * weight) / most} height="6" />
                </svg>
              </p>
              <p class="response">{text.responses[k] === "" ? <i>(empty)</i> : text.responses[k]}</p>
              <p class="meta">
                {scores.names.reward} {signed(scores.reward[i])}
                {scores.names.safety.map((name, j) => ` · ${name} ${signed(scores.safety[j]![i])}`)}
              </p>
            </li>
          );
        })}
      </ol>
      {count > gaining + losing && (
        <button type="button" class="save" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "Fewer" : `All ${count} responses`}
        </button>
      )}
    </article>
  );
}

/** The server as the page sees it. */
import { promptOffsets } from "../../dual/offsets.js";
import type {
  ApiError,
  ChatRequest,
  ChatResponse,
  DrawnSection,
  JobState,
  ListedRun,
  PromptTexts,
  RunFigures,
  ScoresHeader,
  StepFigures,
  TrainRequest,
  VerdictPage,
} from "../api.js";

/** Scores of a run, as the dual takes them, with the number of every prompt. */
export interface RunScores {
  readonly names: { readonly reward: string; readonly safety: readonly string[] };
  readonly reward: Float64Array;
  readonly safety: readonly Float64Array[];
  readonly offsets: Uint32Array;
  /** Number in the run of every prompt. */
  readonly prompts: Int32Array;
}

async function request(path: string, init?: RequestInit): Promise<Response> {
  const response = await fetch(path, init);
  if (response.ok) return response;
  const text = await response.text();
  let message = text;
  try {
    message = (JSON.parse(text) as ApiError).error;
  } catch {
    // Not the server's own words: they are shown as they are.
  }
  throw new Error(message);
}

const get = async <T>(path: string): Promise<T> => (await request(path)).json();

const post = async <T>(path: string, body: unknown): Promise<T> =>
  (
    await request(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    })
  ).json();

const place = (id: string) => `/api/runs/${encodeURIComponent(id)}`;

/** Calls of the server. Each throws an Error with the server's sentence. */
export const api = {
  runs: (): Promise<ListedRun[]> => get("/api/runs"),
  run: (id: string): Promise<RunFigures> => get(place(id)),
  texts: (id: string, attempt: number, prompts: readonly number[]): Promise<PromptTexts[]> =>
    get(`${place(id)}/texts?attempt=${attempt}&prompts=${prompts.join(",")}`),
  find: (id: string, words: string): Promise<number[]> => get(`${place(id)}/find?words=${encodeURIComponent(words)}`),
  steps: (id: string, attempt: number): Promise<StepFigures> => get(`${place(id)}/steps?attempt=${attempt}`),
  sections: (id: string, attempt: number): Promise<DrawnSection[]> => get(`${place(id)}/sections?attempt=${attempt}`),
  verdicts: (id: string, attempt: number, { offset, limit }: { offset: number; limit: number }): Promise<VerdictPage> =>
    get(`${place(id)}/verdicts?attempt=${attempt}&offset=${offset}&limit=${limit}`),
  train: (id: string, asked: TrainRequest): Promise<JobState> => post(`${place(id)}/train`, asked),
  resume: (id: string): Promise<JobState> => post(`${place(id)}/resume`, {}),
  stop: (id: string): Promise<JobState> => post(`${place(id)}/stop`, {}),
  chat: (id: string, asked: ChatRequest): Promise<ChatResponse> => post(`${place(id)}/chat`, asked),

  async scores(id: string, attempt: number): Promise<RunScores> {
    const bytes = await (await request(`${place(id)}/scores?attempt=${attempt}`)).arrayBuffer();
    const length = new DataView(bytes).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length))) as ScoresHeader;
    const { responses, reward, safety } = header;
    let at = 4 + length;
    const column = () => {
      const values = new Float64Array(bytes, at, responses);
      at += 8 * responses;
      return values;
    };
    const columns = { reward: column(), safety: safety.map(column) };
    const prompt = new Int32Array(bytes, at, responses);
    const offsets = promptOffsets(prompt);
    return {
      names: { reward, safety },
      ...columns,
      offsets,
      prompts: Int32Array.from(offsets.subarray(0, -1), (i) => prompt[i]!),
    };
  },
};

/**
 * How a command tells what it does: JSON lines on standard output, or words for people: results on standard output,
 * progress on standard error (a bar on a terminal, a line now and then elsewhere).
 */

import type {
  AimEvent,
  AnyEvent,
  CheckEvent,
  ComparedGain,
  ComparisonRow,
  DoctorEvent,
  DoneEvent,
  PredictionEvent,
  ProgressEvent,
} from "../ports/events.js";
import type { EvaluationRow, WinRateRow } from "../ports/rows.js";
import { aligned } from "../stages/context.js";
import { columns } from "./columns.js";
import { duration, figure, signed } from "./figures.js";

/** Event of any command. */
export type CommandEvent = AnyEvent;

/** Stream that a reporter writes to. */
export interface Output {
  write(text: string): void;
  isTTY?: boolean;
  columns?: number;
}

/** Reporter of a command's events. */
export interface Reporter {
  emit(event: CommandEvent): void;
  /** Ends the line that a progress bar is on. */
  close(): void;
}

/** Options of a reporter. */
export interface ReporterOptions {
  json: boolean;
  /** Whether only results are written. */
  quiet?: boolean;
  stdout?: Output;
  stderr?: Output;
  /** Milliseconds. */
  now?: () => number;
}

/** Milliseconds between two progress reports. */
const pace = { bar: 100, json: 1000, lines: 10_000 };

/** Reporter that writes JSON lines, or words for people with a bar on a terminal. */
export function makeReporter(options: ReporterOptions): Reporter {
  const { json, quiet = false, stdout = process.stdout, now = () => performance.now() } = options;
  const stderr = quiet ? { write() {} } : ((options.stderr ?? process.stderr) as Output);
  const every = json ? pace.json : stderr.isTTY ? pace.bar : pace.lines;
  const meter = new Meter(now);
  let told = -Infinity;
  let barWidth = 0;

  const clearBar = () => {
    if (barWidth > 0) stderr.write(`\r${" ".repeat(barWidth)}\r`);
    barWidth = 0;
  };
  const progress = (text: string) => {
    if (!stderr.isTTY) return stderr.write(`${text}\n`);
    const line = text.slice(0, (stderr.columns ?? 80) - 1);
    stderr.write(`\r${line.padEnd(barWidth)}`);
    barWidth = line.length;
  };

  const reporter: Reporter = {
    emit(event) {
      const counted = measured(event);
      if (counted) {
        const { task, done, total, unit } = counted;
        const { rate, left } = meter.read(task, done, total);
        const last = done >= total;
        // Every training step is a result by itself; progress is only worth a line now and then.
        const due = last || now() - told >= every || (json && event.event === "step");
        if (!due) return;
        told = now();
        if (json) stdout.write(`${JSON.stringify({ ...event, rate })}\n`);
        else
          progress(
            `${stderr.isTTY ? `${bar(done / total)} ` : ""}${task}  ${done}/${total}` +
              `${event.event === "step" ? `  loss ${event.loss.toFixed(4)}` : ""}` +
              `${rate > 0 ? `  ${figure(rate)} ${unit}/s` : ""}${left > 0 ? `  ${duration(left)} left` : ""}`,
          );
        if (last && !json) reporter.close();
        return;
      }
      if (json) {
        if (event.event === "notice") stderr.write(`${event.message}\n`);
        stdout.write(`${JSON.stringify(event)}\n`);
        return;
      }
      clearBar();
      const { result, note } = words(event as Exclude<CommandEvent, ProgressEvent>);
      if (note) stderr.write(`${note}\n`);
      if (result) stdout.write(`${result}\n`);
    },
    close() {
      if (barWidth > 0) stderr.write("\n");
      barWidth = 0;
    },
  };
  return reporter;
}

function measured(event: CommandEvent): ProgressEvent | undefined {
  if (event.event === "progress") return event;
  if (event.event === "step")
    return {
      event: "progress",
      task: `training${event.policy === undefined ? "" : ` ${event.policy}`}`,
      done: event.step,
      total: event.steps,
      unit: "steps",
    };
  return undefined;
}

/** Rate and time left of the task at hand, from its first report on: a resumed task's earlier rows took no time now. */
class Meter {
  private task = "";
  private start = 0;
  private startDone = 0;

  constructor(private readonly now: () => number) {}

  read(task: string, done: number, total: number): { rate: number; left: number } {
    if (task !== this.task) {
      this.task = task;
      this.start = this.now();
      this.startDone = done;
    }
    const seconds = (this.now() - this.start) / 1000;
    const rate = seconds > 0 ? (done - this.startDone) / seconds : 0;
    return { rate, left: rate > 0 ? (total - done) / rate : 0 };
  }
}

/** A line or more for people. `result` is what the command was run for. */
function words(event: Exclude<CommandEvent, ProgressEvent>): { result?: string; note?: string } {
  switch (event.event) {
    case "notice":
      return { note: event.message };
    case "check":
      return { note: checkInWords(event) };
    case "doctor":
      return { result: doctorInWords(event) };
    case "stage":
      if (event.state === "started") return { note: `${event.stage} …` };
      if (event.state === "skipped") return { note: `${event.stage}: done before` };
      return { note: `${event.stage}: done in ${duration(event.seconds ?? 0)}` };
    case "solve":
      return {
        result: predicted(event, `KKT residual ${event.kkt.toExponential(1)}, `) + lines(event.meaning ?? []),
        note: event.caution && `caution: ${event.caution}`,
      };
    case "aim":
      return { note: aimed(event) };
    case "strength":
      return {
        note: `strength ${event.strength}: safety ${event.gain.map(signed).join(", ")}, at least ${event.bound.map(signed).join(", ")}: ${event.passed ? "passed" : "not passed"}, 'held' by ${Math.round(100 * event.chance)} % chance`,
      };
    case "calibration":
      return {
        result: `strength: ${event.strength} (${event.outcome === "held" ? "passed its test" : event.outcome})`,
        note: event.reason === null ? undefined : `caution: ${event.reason}`,
      };
    case "look":
      return {
        note: `held out, ${event.responses} responses each: safety ${event.gain.map((gain, j) => `${signed(gain)} [${signed(event.low[j]!)}, ${signed(event.high[j]!)}]`).join(", ")}: ${event.decision}`,
      };
    case "shares":
      return {
        result: event.rows
          .map((row) => {
            const percent = (share: number) => `${figure(100 * share)} %`;
            return (
              `${named(row.policy)}unsafe by ${row.scorer}: ${percent(row.before)} [${percent(row.before_low)}, ${percent(row.before_high)}] before, ` +
              `${percent(row.after)} [${percent(row.after_low)}, ${percent(row.after_high)}] after`
            );
          })
          .join("\n"),
      };
    case "prediction":
      return { result: predicted(event, "given; ") };
    case "evaluation":
      return { result: `${named(event.rows[0]?.policy).replace(": ", "\n")}${table(event.rows)}` };
    case "multiplier":
      return {
        result:
          `${named(event.policy)}iteration ${event.iteration}: λ = ${event.lambda.map(figure).join(", ")}, ` +
          `measured: safety ${event.gain.map(signed).join(", ")}`,
      };
    case "judged":
      return { result: event.rows.map(winRate).join("\n") };
    case "eval": {
      if (event.policy !== undefined) {
        const { policy, step, loss, share } = event;
        return { note: `${named(policy)}pairs held back, step ${step}: loss ${figure(loss)}${ofTheWay(share)}` };
      }
      const { event: _, share: __, step, loss, ...metrics } = event;
      const figures = Object.entries({ loss, ...metrics }).map(([name, value]) => `${name} ${figure(value as number)}`);
      return { result: `evaluation after step ${step}: ${figures.join(", ")}` };
    }
    case "trial": {
      const { policy, learning_rate, steps, loss, share } = event;
      const outcome = loss === null ? "diverged" : `loss ${figure(loss)}${ofTheWay(share)}`;
      return { note: `${named(policy)}learning rate ${learning_rate}, ${steps} steps: ${outcome}` };
    }
    case "arrival": {
      const { policy, learning_rate, steps, loss, share, accuracy, rows } = event;
      // Of a model of preferences no optimum is known: how often it is right says what it knows.
      const ranked =
        share === null && accuracy !== null ? `, ${Math.round(100 * accuracy)} % of ${rows} ranked as labelled` : "";
      return {
        result: `${named(policy)}trained ${steps} steps at ${learning_rate}; pairs held back: loss ${figure(loss)}${ofTheWay(share)}${ranked}`,
      };
    }
    case "done":
      if (event.kind === "run") return arrived(event);
      if (event.kind === "comparison") return { result: comparison(event.policies, event.report) };
      return { note: `done in ${duration(event.seconds)}` };
    default:
      return {};
  }
}

const lines = (texts: readonly string[]) => texts.map((line) => `\n${line}`).join("");

/** λ, how it came about, and what it promises. */
function predicted({ policy, lambda, predicted, ess }: Omit<PredictionEvent, "event">, origin: string): string {
  const { reward_gain, safety_gain, kl } = predicted;
  return (
    `${named(policy)}λ = ${lambda.map(figure).join(", ")}   (${origin}effective samples per prompt ` +
    `${figure(ess.mean)}, at least ${figure(ess.min)})\n` +
    `predicted: safety ${safety_gain.map(signed).join(", ")}   reward ${signed(reward_gain)}   KL ${figure(kl)}`
  );
}

/** What a solve aims at beyond its margins, and what that costs. */
function aimed({ asked, aimed, wanted, price, confidence, power }: Omit<AimEvent, "event">): string {
  const short = aimed.some((value, j) => value < wanted[j]! - 1e-9);
  return (
    `aim: ${aimed.map(signed).join(", ")} for ${asked.map(signed).join(", ")} with ${Math.round(100 * confidence)} % confidence, ` +
    `at a price of ${figure(price)} in reward` +
    (short
      ? `; ${wanted.map(signed).join(", ")} would be 'held' with ${Math.round(100 * power)} % chance and is hardly in reach: the strength is to make up for it`
      : "")
  );
}

/** Findings of a doctor in words: a line each, what to do about it below. */
function doctorInWords({ findings, memory }: DoctorEvent): string {
  const marks = { fit: "yes", unfit: "NO", absent: "no" } as const;
  const rows = findings.map(({ name, state, detail }) => `${name.padEnd(18)} ${marks[state].padEnd(4)} ${detail}`);
  const lines = rows.flatMap((row, i) => {
    const { remedy } = findings[i]!;
    return remedy === undefined ? [row] : [row, `${" ".repeat(24)}${remedy}`];
  });
  if (!memory) return lines.join("\n");
  const gb = (bytes: number) => `${figure(bytes / 1e9)} GB`;
  return [
    ...lines,
    `memory, about: weights ${gb(memory.weights_bytes)}, sampling ${gb(memory.sample_bytes)}, training an adapter ${gb(memory.train_bytes)}, of ${gb(memory.total_bytes)} here;`,
    `  on a server in bf16 ${gb(memory.served_bytes)} and ${figure(memory.served_cache_bytes_per_token / 1e3)} kB for each token under way`,
  ].join("\n");
}

/** Findings of a check in words, and what the run is going to take. */
export function checkInWords({ prompts, responses, tried, estimate }: CheckEvent): string {
  const parts = Object.entries(tried.seconds).map(([part, seconds]) => `${part} ${duration(seconds)}`);
  const { sampling_seconds, scoring_seconds, effective_samples, peak_memory_bytes } = estimate;
  const memory = peak_memory_bytes === undefined ? "" : `, memory so far ${figure(peak_memory_bytes / 1e9)} GB`;
  return [
    `check: ${prompts.train} prompts${prompts.calibration ? `, ${prompts.calibration} to calibrate` : ""} and ${prompts.held_out} held out (${prompts.file.split(/[/\\]/).at(-1)}); every part works on ${tried.responses} responses (${parts.join(", ")})`,
    `  to draw: ${responses.reference} responses of the reference, ${responses.policy} of each trained policy: at most ${duration(sampling_seconds)}; to score them: about ${duration(scoring_seconds)}${memory}`,
    ...(effective_samples !== undefined && effective_samples < 2
      ? [
          `  caution: at this β few responses carry the weight (effective samples ${figure(effective_samples)} of those tried): raise β or num_samples`,
        ]
      : []),
  ].join("\n");
}

const ofTheWay = (share: number | null) => (share === null ? "" : `, ${Math.round(100 * share)} % of the way`);

/** The end of a run: how far its training came, what to change where it did not come there, and the report. */
function arrived({ training, report }: DoneEvent): { result: string; note?: string } {
  const way =
    training &&
    [
      training.share === null ? "" : `${Math.round(100 * training.share)} % of the way (pairs ${training.basis})`,
      training.kl ? `KL ${figure(training.kl.measured)} of ${figure(training.kl.predicted)}` : "",
    ]
      .filter((part) => part !== "")
      .join("; ");
  return {
    result: `${way ? `training: ${way}\n` : ""}report: ${report}`,
    note: training?.cautions.map((line) => `caution: ${line}`).join("\n") || undefined,
  };
}

/** A run's one policy needs no name; those of a comparison do. */
const named = (policy: string | undefined) => (policy === undefined || policy === aligned ? "" : `${policy}: `);

/** A line for each policy: the last of the predictions are the constraints'. */
function comparison(rows: readonly ComparisonRow[], report: string): string {
  const gain = ({ gain, interval: [low, high] }: ComparedGain) => `${signed(gain)} [${signed(low)}, ${signed(high)}]`;
  const header = ["", "λ", "predicted", "measured", "safety", "verdict", "reward", "KL", "seconds"];
  const cells = rows.map(({ method, policy, lambda, predicted, solved, safety, reward, kl, bill }) => [
    policy === method ? method : `${method} (${policy})`,
    lambda === null ? "" : lambda.map(figure).join(", "),
    (predicted ?? []).slice(1).map(gain).join(", "),
    (solved ?? []).slice(1).map(gain).join(", "),
    safety.map(gain).join(", "),
    safety.map(({ verdict }) => verdict).join(", "),
    gain(reward),
    figure(kl.measured),
    figure(bill.seconds),
  ]);
  return `${columns([header, ...cells]).join("\n")}\nreport: ${report}`;
}

function winRate({ judge, rate, low, high, pairs, unreadable, swayed }: WinRateRow): string {
  const percent = (share: number) => `${figure(100 * share)} %`;
  return (
    `${judge}: wins ${percent(rate)} [${percent(low)}, ${percent(high)}] of ${pairs} pairs against the reference` +
    `, the order decided ${percent(swayed)}${unreadable > 0 ? `, ${unreadable} unreadable` : ""}`
  );
}

/** Prediction beside measurement. */
function table(rows: readonly EvaluationRow[]): string {
  const header = ["", "before", "after", "predicted", "measured", "interval", "margin", "verdict"];
  const cells = rows.map(({ scorer, role, reference, aligned, predicted, measured, low, high, margin, verdict }) => [
    scorer === role ? scorer : `${scorer} (${role})`,
    figure(reference),
    figure(aligned),
    predicted === null ? "" : signed(predicted),
    signed(measured),
    `[${signed(low)}, ${signed(high)}]`,
    margin === null ? "" : signed(margin),
    verdict ?? "",
  ]);
  return columns([header, ...cells]).join("\n");
}

function bar(share: number): string {
  const filled = Math.round(Math.min(1, share) * 20);
  return `${"█".repeat(filled)}${"░".repeat(20 - filled)}`;
}

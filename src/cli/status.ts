import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { methodOf } from "../methods/methods.js";
import { type AttemptFigures, attemptsOf } from "../stages/attempts.js";
import { aligned } from "../stages/context.js";
import { liveOf } from "../store/liveStatus.js";
import { columns } from "./columns.js";
import { duration, figure, signed } from "./figures.js";

/** Command `dualign status`. */
export function addStatusCommand(program: Command): void {
  program
    .command("status")
    .description("tell how far a run is")
    .argument("<run>", "run folder")
    .option("--json", "print one JSON object")
    .action(async (folder: string, { json }: { json?: boolean }) => {
      const status = await readStatus(folder);
      process.stdout.write(json ? `${JSON.stringify(status)}\n` : words(status));
    });
}

type Status = Awaited<ReturnType<typeof readStatus>>;

async function readStatus(folder: string) {
  const path = resolve(folder);
  // While a process works on the run its database is locked, and the process tells by itself.
  const live = existsSync(path) ? liveOf(path) : undefined;
  if (live) return { run: path, running: live };
  const { readRun } = await import("../store/runFolder.js");
  const run = await readRun(folder);
  try {
    const stages = await Promise.all(
      methodOf(run.recipe).stages.map(async ([stage]) => ({ stage, done: await run.isDone(stage) })),
    );
    const counts = await run.query(
      `SELECT policy, split, count(*)::INTEGER AS samples, count(DISTINCT prompt)::INTEGER AS prompts
       FROM samples JOIN prompts USING (prompt) GROUP BY ALL ORDER BY ALL`,
    );
    const solve = await run.solve(aligned);
    const evaluations = await run.evaluations(aligned);
    const figures = await attemptsOf(run);
    const attempts =
      figures.length > 0
        ? figures
        : (await run.attempts()).map(({ attempt, label, started }) => ({ attempt, label, started }));
    return {
      run: path,
      attempts,
      stages,
      samples: counts as { policy: string; split: string; samples: number; prompts: number }[],
      lambda: solve?.lambda,
      verdicts: evaluations.flatMap(({ scorer, verdict }) => (verdict ? [{ constraint: scorer, verdict }] : [])),
    };
  } finally {
    await run.close();
  }
}

function words(status: Status): string {
  if ("running" in status) {
    const { pid, stage, task, done, total, unit } = status.running!;
    const progress = task === undefined ? "" : `, ${task}: ${done}/${total} ${unit}`;
    return `${status.run}: running (process ${pid}), stage ${stage}${progress}\n`;
  }
  const { attempts, stages, samples, lambda, verdicts } = status;
  const lines = [
    status.run,
    ...(attempts.length > 1
      ? [`  attempt ${attempts.at(-1)!.attempt} of ${attempts.length}, the latest; the others are kept`]
      : []),
    ...stages.map(({ stage, done }) => `  ${done ? "✓" : "·"} ${stage}`),
    ...samples.map(
      ({ policy, split, samples, prompts }) => `  ${samples} samples of ${prompts} ${split} prompts (${policy})`,
    ),
  ];
  if (lambda) lines.push(`  λ = ${lambda.join(", ")}`);
  for (const { constraint, verdict } of verdicts) lines.push(`  ${constraint}: ${verdict}`);
  const several = attempts.filter((one) => "redone" in one);
  if (several.length > 1) lines.push("attempts:", ...sideBySide(several));
  const next = stages.find(({ done }) => !done);
  if (next) lines.push(`next: ${next.stage} ('dualign resume ${status.run}')`);
  return `${lines.join("\n")}\n`;
}

/** Attempts in a table, a line for each constraint, and below it what each changed. */
function sideBySide(attempts: readonly AttemptFigures[]): string[] {
  const header = ["", "constraint", "margin", "λ*", "predicted", "measured", "interval", "verdict", "reward", "time"];
  const gain = (value: number | null) => (value === null ? "" : signed(value));
  const rows = attempts.flatMap(({ label, safety, lambda, reward, seconds }) =>
    safety.map(({ name, margin, predicted, measured, interval, verdict }, j) => [
      j === 0 ? label : "",
      name,
      signed(margin),
      lambda === null ? "" : figure(lambda[j]!),
      gain(predicted),
      gain(measured),
      interval === null ? "" : `[${interval.map(signed).join(", ")}]`,
      verdict ?? "",
      j === 0 ? gain(reward.measured) : "",
      j === 0 ? duration(seconds) : "",
    ]),
  );
  const changes = attempts.flatMap(({ label, changed, redone }) =>
    changed.length > 0 ? [`${label}: ${changed.join("; ")} (did ${redone.join(", ") || "nothing"})`] : [],
  );
  return [...columns([header, ...rows]), ...changes].map((line) => `  ${line}`);
}

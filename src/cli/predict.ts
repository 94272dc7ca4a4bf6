/** `dualign predict`: what a margin would give, from a run's samples and scores, without training. */
import type { Command } from "commander";
import { InputError } from "../errors.js";
import type { Recipe } from "../recipe/parse.js";
import type { Answer, OutOfReach } from "../stages/question.js";
import { columns } from "./columns.js";
import { figure, signed } from "./figures.js";
import { collect } from "./stages.js";

interface Given {
  margin?: string[];
  beta?: string[];
  bootstrap: string;
  figure?: string;
  json?: boolean;
}

/** Command `dualign predict`. */
export function addPredictCommand(program: Command): void {
  program
    .command("predict")
    .description("what a margin would give: λ*, safety, reward and KL from a run's scores, without training")
    .argument("<run>", "run folder whose reference is sampled and scored")
    .option("--margin <value>", "a margin, NAME=margin, or a range FROM:TO:STEP; may be repeated", collect)
    .option("--beta <value>", "β in place of the recipe's; may be repeated", collect)
    .option("--bootstrap <count>", "resamples for the intervals; 0 leaves them out", "500")
    .option("--figure <file.svg>", "draw the frontier of a range of margins, beside the table or the JSON")
    .option("--json", "print one JSON object for each question")
    .action(predict);
}

async function predict(folder: string, { margin = [], beta, bootstrap, figure: file, json }: Given): Promise<void> {
  const replicates = Number(bootstrap);
  if (!Number.isSafeInteger(replicates) || replicates < 0)
    throw new InputError(`--bootstrap is ${bootstrap}: give a whole number`);
  const betas = beta?.map(Number);
  if (betas?.some((value) => !(value > 0))) throw new InputError(`--beta ${beta?.join(" ")}: give numbers above 0`);
  const { readRun } = await import("../store/runFolder.js");
  const { answer, questionsOf } = await import("../stages/question.js");
  const { trainScores } = await import("../stages/score.js");
  const run = await readRun(folder);
  try {
    const { recipe } = run;
    const needed = recipe.method === "pecan" ? "logprobs" : "score";
    if (!(await run.isDone(needed)))
      throw new InputError(`the run in ${run.path} is not scored yet: dualign ${needed} ${folder}`);
    const questions = questionsOf(margin, betas ?? [recipe.beta], recipe.safety);
    const scores = await trainScores(run);
    const { seed, evaluate } = recipe;
    const answers = questions.map((question) =>
      answer(scores, question, { seed, confidence: evaluate.confidence, replicates }),
    );
    const names = recipe.safety.map(({ name }) => name);
    if (file !== undefined) await drawFrontier(file, answers, recipe);
    process.stdout.write(
      json ? answers.map((one) => `${JSON.stringify(asJson(one, names))}\n`).join("") : words(answers, names),
    );
    for (const caution of new Set(answers.flatMap((one) => ("caution" in one && one.caution ? [one.caution] : []))))
      process.stderr.write(`dualign: ${caution}\n`);
    // A margin out of reach is an answer; where there is no other, the exit status says so.
    if (answers.every((one) => "message" in one)) throw new InputError((answers[0] as OutOfReach).message, 3);
  } finally {
    await run.close();
  }
}

/**
 * Writes the frontier of the constraint whose margins vary as SVG.
 * @throws InputError where that is not one constraint with two margins in reach.
 */
async function drawFrontier(
  file: string,
  answers: readonly (Answer | OutOfReach)[],
  { reward, safety }: Recipe,
): Promise<void> {
  const varying = safety.flatMap(({ name, margin }, j) =>
    new Set(answers.map(({ margins }) => margins[j])).size > 1 ? [{ name, margin, j }] : [],
  );
  const [one, another] = varying;
  if (!one || another)
    throw new InputError(
      `--figure draws what the margins of one constraint cost: give ${one ? "one constraint alone" : "one"} a range, --margin ${safety[0]!.name}=FROM:TO:STEP`,
    );
  const lines = [...new Set(answers.map(({ beta }) => beta))].flatMap((beta) => {
    const points = answers.flatMap((answer) =>
      answer.beta === beta && !("message" in answer)
        ? [{ margin: answer.margins[one.j]!, reward: answer.rewardGain, interval: answer.intervals?.rewardGain }]
        : [],
    );
    return points.length > 1 ? [{ beta, points: points.sort((a, b) => a.margin - b.margin) }] : [];
  });
  if (lines.length === 0) throw new InputError("--figure needs two margins in reach: lower the range");
  const { frontierSvg } = await import("../report/frontier.js");
  const { writeText } = await import("../files/rows/write.js");
  const largest = answers[0]!.largest[one.j]!;
  await writeText(file, [
    frontierSvg({ constraint: one.name, reward: reward.name, asked: one.margin, lines, largest }),
  ]);
}

const byName = <T>(names: readonly string[], values: readonly T[]): Record<string, T> =>
  Object.fromEntries(names.map((name, j) => [name, values[j]!]));

/** Answer as `--json` prints it: constraints by name. */
function asJson(one: Answer | OutOfReach, names: readonly string[]) {
  const asked = { beta: one.beta, margins: byName(names, one.margins), largest_margins: byName(names, one.largest) };
  if ("message" in one) return { ...asked, feasible: false, message: one.message };
  const { lambda, safetyGain, rewardGain, kl, ess, intervals, caution } = one;
  return {
    ...asked,
    feasible: true,
    lambda: byName(names, lambda),
    safety_gain: byName(names, safetyGain),
    reward_gain: rewardGain,
    kl,
    ess,
    ...(intervals && {
      intervals: {
        lambda: byName(names, intervals.lambda),
        safety_gain: byName(names, intervals.safetyGain),
        reward_gain: intervals.rewardGain,
        kl: intervals.kl,
        infeasible: intervals.infeasible,
      },
    }),
    ...(caution !== undefined && { caution }),
  };
}

function words(answers: readonly (Answer | OutOfReach)[], names: readonly string[]): string {
  const several = new Set(answers.map(({ beta }) => beta)).size > 1;
  const between = (value: number, interval: readonly [number, number] | undefined) =>
    interval ? `${signed(value)} [${signed(interval[0])}, ${signed(interval[1])}]` : signed(value);
  const header = [
    ...(several ? ["β"] : []),
    ...names.flatMap((name) => [`margin ${name}`, "λ*", "gain"]),
    ...["reward", "KL", "effective samples"],
  ];
  const cells = answers.map((one) => {
    const start = several ? [figure(one.beta)] : [];
    if ("message" in one)
      return [
        ...start,
        ...names.flatMap((_, j) => [signed(one.margins[j]!), "out of reach", `at most ${signed(one.largest[j]!)}`]),
        ...["", "", ""],
      ];
    const { lambda, safetyGain, rewardGain, kl, ess, intervals } = one;
    return [
      ...start,
      ...names.flatMap((_, j) => [
        signed(one.margins[j]!),
        figure(lambda[j]!),
        between(safetyGain[j]!, intervals?.safetyGain[j]),
      ]),
      between(rewardGain, intervals?.rewardGain),
      figure(kl),
      `${figure(ess.mean)}, at least ${figure(ess.min)}`,
    ];
  });
  return `${columns([header, ...cells]).join("\n")}\n`;
}

/**
 * Tables of a run. A table is one entry here: the type of its rows (`rows.ts`), its SQL and both mappings follow from it,
 * and every {@link RunStore} adds, replaces and selects its rows. The comments go into the database:
 * `SELECT * FROM duckdb_columns()` shows them. The file is long as there are many tables.
 */
import type { Decision } from "../evaluate/sequential.js";
import type { Preference } from "../evaluate/winRate.js";
import type { Message } from "../text/messages.js";
import {
  boolean,
  double,
  doubles,
  integer,
  integers,
  json,
  named,
  nullable,
  type Row,
  table,
  text,
  time,
} from "./columns.js";
import type { Question } from "./judge.js";
import type { FinishReason } from "./policy.js";

/** Part of a run's prompts: sampled for the solve and the training, to choose a strength, or for evaluation only. */
export type Split = "train" | "calibration" | "held-out";

/** Verdict on a constraint: whether the interval of its measured gain lies above the margin, below it, or around it. */
export type Verdict = "held" | "not held" | "undecided";

/** Problem of a comparison by whose scores state it: the scorers', or those of the models of preferences. */
export type ProblemName = "scorers" | "preferences";

/** Stage of a run; which ones it has, and in which order, is its method's. */
export type StageName =
  | "pretrain"
  | "sample"
  | "score"
  | "logprobs"
  | "dual"
  | "relabel"
  | "train"
  | "calibrate"
  | "evaluate"
  | "report";

const sampleKey = {
  policy: text(
    "'reference', the name of a trained policy ('aligned', at a strength 'aligned*1.5', or a comparison's), or 'enumerated': every response there is",
  ),
  prompt: integer("prompts.prompt"),
  sample: integer("number of the response among its prompt's, from 0"),
};

const policy = text("the trained policy that it belongs to");
/** `lambda` is a reserved word of SQL. */
const lambda = (comment: string) => named("multipliers", doubles(comment));

/** Tables of a run by the names that the code has for them; in SQL these are in snake case. */
export const tables = {
  meta: table({
    comment: "what the run was started with: versions, the seed, the time",
    key: ["name"],
    columns: { name: text("what it is"), value: text("text, or JSON") },
  }),
  attempts: table({
    comment: "the questions that were put to the run's samples, one recipe each",
    key: ["attempt"],
    columns: {
      attempt: integer("from 1"),
      label: text("its name for people"),
      recipe: json("the checked recipe; its paths are relative to the run's folder"),
      recipeText: text("the recipe as it was written; empty where flags made it"),
      recipeSha256: text("of the checked recipe, in hexadecimal"),
      rowNames: json<Readonly<Record<string, string>>>(
        "names under which other tables keep its policies and scorers where these are not the recipe's own names",
      ),
      started: time("UTC"),
      folder: text(
        "the run's folder when the attempt began, where its paths are looked for if the run alone was moved",
      ),
    },
  }),
  fingerprints: table({
    comment: "what an attempt's stages used, by its content",
    key: ["attempt", "stage", "part"],
    columns: {
      attempt: integer("attempts.attempt"),
      stage: text<StageName>("that used it"),
      part: text("of the recipe: 'model', 'reward', 'prompts.file'"),
      path: text("file or folder, relative to the run's folder"),
      sha256: text("of its content, in hexadecimal"),
    },
  }),
  contents: table({
    comment: "hashes of files by their size and time, so that no large file is read twice",
    key: ["path"],
    columns: {
      path: text("absolute, links resolved"),
      bytes: double("its size"),
      modified: double("its time of modification, in milliseconds since 1970"),
      sha256: text("of its content, in hexadecimal"),
    },
  }),
  stages: table({
    comment: "the stages that an attempt has done, or took over from an earlier one",
    key: ["attempt", "stage"],
    columns: {
      attempt: integer("attempts.attempt"),
      stage: text<StageName>("its name"),
      seconds: double("time that the stage took since it was last started"),
      finished: time("UTC"),
    },
  }),
  prompts: table({
    comment: "the prompts of all splits",
    key: ["prompt"],
    columns: {
      prompt: integer("unique over all splits"),
      split: text<Split>(
        "'train': sampled for the solve and the training; 'calibration': to choose the strength; 'held-out': for evaluation only",
      ),
      text: nullable(text("a plain prompt, template applied")),
      messages: nullable(json<readonly Message[]>("a prompt of chat messages; text is null")),
      extra: nullable(
        json<Readonly<Record<string, unknown>>>("the other columns of the row that it came in: extra->>'category'"),
      ),
      category: nullable(text("its category, where margins are asked by category")),
    },
  }),
  samples: table({
    comment: "responses",
    key: ["policy", "prompt", "sample"],
    columns: {
      ...sampleKey,
      response: text("its text"),
      responseIds: integers("its tokens, without the end token"),
      logprob: double(
        "ln probability under its own policy ('enumerated': the reference) at the recipe's temperature, end token included where it stopped",
      ),
      finishReason: text<FinishReason>("'stop' or 'length'"),
    },
  }),
  scores: table({
    comment:
      "scores of the responses, sign and scale applied: higher is better. PeCAN's are implicit: beta * (logprob under the model of the scorer's name - logprob under the reference)",
    key: ["policy", "prompt", "sample", "scorer"],
    columns: { ...sampleKey, scorer: text("the scorer's name"), score: double("higher is better") },
  }),
  logprobs: table({
    comment: "log-probabilities of the responses under other policies than their own",
    key: ["policy", "prompt", "sample", "under"],
    columns: {
      ...sampleKey,
      under: text("the policy that gives the response this probability"),
      logprob: double("natural logarithm"),
    },
  }),
  pairs: table({
    comment: "pseudo-preferences between reference samples",
    key: ["policy", "pair"],
    columns: {
      policy: text("the policy that trains on it"),
      pair: integer("in training order, before shuffling"),
      prompt: integer("prompts.prompt"),
      first: integer("samples.sample"),
      second: integer("samples.sample"),
      probability: double("that first is preferred: sigmoid of the difference"),
      difference: double("r + <lambda, g> of first minus that of second, divided as the recipe's labels are"),
      label: double("what training sees: the probability (soft labels), or a draw from it (1 or 0)"),
    },
  }),
  solves: table({
    comment: "the dual's solution; lists hold one value for each constraint, in the recipe's order",
    key: ["policy"],
    columns: {
      policy,
      beta: double("strength of the KL penalty"),
      margins: doubles("b"),
      lambda: lambda("lambda*"),
      dual: double("D(lambda*)"),
      kkt: double("KKT residual: the certificate"),
      maxMargin: doubles("the largest margin that the samples reach, constraint by constraint"),
      rewardGain: double("predicted"),
      safetyGain: doubles("predicted"),
      kl: double("predicted KL to the reference, in nats"),
      essMean: double("effective sample size, mean over prompts"),
      essMin: double("and the smallest"),
      klTerms: nullable(doubles("KL of the reference to PeCAN's safety models, in nats; null in MoCAN")),
    },
  }),
  predictions: table({
    comment:
      "what a policy's lambda, solved or given, is predicted to gain on prompts like those of the solve, with bootstrap intervals over them; lists hold one value for each constraint",
    key: ["policy"],
    columns: {
      policy,
      beta: double("strength of the KL penalty"),
      lambda: lambda("solved or given"),
      rewardGain: double("in the reward"),
      rewardLow: double("interval of reward_gain: its lower end"),
      rewardHigh: double("and its upper end"),
      safetyGain: doubles("in the safety scores"),
      safetyLow: doubles("intervals of safety_gain: their lower ends"),
      safetyHigh: doubles("and their upper ends"),
      kl: double("KL to the reference, in nats"),
      klLow: double("interval of kl: its lower end"),
      klHigh: double("and its upper end"),
      confidence: double("of the intervals"),
      essMean: double("effective sample size, mean over prompts"),
      essMin: double("and the smallest"),
    },
  }),
  aims: table({
    comment:
      "what a solve aims at so that the margins hold with the confidence asked; lists hold one value for each constraint",
    key: ["policy"],
    columns: {
      policy,
      confidence: double("asked for"),
      power: double("chance with which the held-out verdict is to be 'held'"),
      asked: doubles("the margins of the recipe"),
      aimed: doubles("the gains that the solve aims at, without bias for new prompts"),
      wanted: doubles(
        "the gains at which the test and the verdict are likely to pass: more than aimed where that is out of reach",
      ),
      rate: doubles("lambda at the margins asked: reward lost for each unit of slack, at first order"),
      price: double("reward that the slack costs, predicted"),
      calibrationPrompts: integer("of the test"),
      heldOutPrompts: integer("of the verdict"),
      responses: integer("to each of either policy, at most"),
    },
  }),
  strengths: table({
    comment:
      "tests of a trained policy at strengths of its update, on calibration prompts; lists hold one value for each constraint",
    key: ["policy", "place"],
    columns: {
      policy,
      place: integer("in the order of testing, which was fixed beforehand; from 0"),
      strength: double("of the update: 1 is as trained"),
      responses: integer("to each calibration prompt, when it was decided"),
      level: double("of the test at its last look"),
      gain: doubles("over the reference"),
      bound: doubles("lower bound of the gain at that level, -infinity where equal values bound nothing"),
      p: double("p-value of 'some gain is at most its margin'"),
      passed: boolean("whether that is rejected"),
      chance: double("with which the held-out verdict will be 'held', as predicted by this test"),
      reward: double("gain in the reward"),
      witnesses: doubles("gains in evaluate.scorers, in the recipe's order"),
    },
  }),
  calibrations: table({
    comment: "the strength that a trained policy is delivered at",
    key: ["policy"],
    columns: {
      policy,
      strength: double("of its update; lora_alpha is multiplied by it"),
      outcome: text<"held" | "none passed" | "not tested">(
        "'held' with the confidence asked, 'none passed', or 'not tested' where prompts are too few",
      ),
      reason: nullable(text("what kept the margins from being held, and what to change")),
    },
  }),
  looks: table({
    comment:
      "looks at the held-out gains while responses are drawn in rounds; lists hold one value for each constraint",
    key: ["policy", "round"],
    columns: {
      policy,
      round: integer("from 1"),
      responses: integer("of the policy to each held-out prompt so far"),
      fraction: double("of the budget"),
      gain: doubles("over the reference"),
      low: doubles("interval of the gain, together with the other looks: lower ends"),
      high: doubles("and upper ends"),
      decision: text<Decision>("'held', 'not held', 'go on' or 'budget spent'"),
    },
  }),
  shares: table({
    comment:
      "share of unsafe responses to the held-out prompts, by every scorer whose sign is -1 or on whose share a margin is asked; intervals are valid whatever the distribution",
    key: ["policy", "scorer"],
    columns: {
      policy,
      scorer: text("the scorer's name"),
      threshold: double("cost above which a response is unsafe"),
      before: double("share under the reference, mean over prompts"),
      beforeLow: double("its interval: lower end"),
      beforeHigh: double("and upper end"),
      after: double("share under the policy"),
      afterLow: double("its interval: lower end"),
      afterHigh: double("and upper end"),
      change: double("after less before: below 0 where the policy is safer"),
      changeLow: double("its interval, paired by prompt: lower end"),
      changeHigh: double("and upper end"),
    },
  }),
  trainings: table({
    comment: "finished trainings",
    key: ["policy"],
    columns: {
      policy,
      path: text("adapter or model folder, relative to the run folder"),
      pairs: integer("that it trained on"),
      steps: integer("of the optimizer"),
      seconds: double("that it took"),
    },
  }),
  arrivals: table({
    comment: "how far trainings came, by the pairs held back from them",
    key: ["policy"],
    columns: {
      policy,
      pairs: integer("held back"),
      learningRate: double("that it trained with at the most"),
      startLoss: nullable(double("loss on the pairs held back under the reference")),
      loss: double("of the trained policy"),
      optimumLoss: nullable(double("of the optimum, where it is known")),
      accuracy: nullable(double("share of the pairs held back that the policy orders as they are labelled")),
      trials: integer("of learning rates, before it"),
      stopped: text<"closed" | "longest" | "given">("'closed' where it came no nearer, 'longest', or 'given'"),
    },
  }),
  trainingSteps: table({
    comment: "optimizer steps",
    key: ["policy", "step"],
    columns: {
      policy,
      step: integer("from 1"),
      steps: integer("of the whole training"),
      loss: double("mean over the batch"),
      learning_rate: double("of this step"),
      grad_norm: double("before clipping"),
      metrics: json<Readonly<Record<string, number>>>("the others, as TRL names them"),
    },
  }),
  evaluations: table({
    comment: "a trained policy against the reference on the held-out prompts",
    key: ["policy", "scorer"],
    asAdded: true,
    columns: {
      policy,
      scorer: text("the scorer's name, or 'kl'"),
      role: text<"reward" | "safety" | "held-out" | "kl">("'reward', 'safety', 'held-out' or 'kl'"),
      reference: double("mean score of the reference"),
      aligned: double("mean score of the trained policy"),
      predicted: nullable(double("the improvement that the dual predicts")),
      measured: double("the improvement"),
      low: double("bootstrap interval of the improvement, paired by prompt: its lower end"),
      high: double("and its upper end"),
      margin: nullable(double("asked for")),
      verdict: nullable(text<Verdict>("'held', 'not held' or 'undecided'")),
    },
  }),
  verdicts: table({
    comment: "what judges said of a policy's responses against the reference's of the same number, in both orders",
    key: ["judge", "policy", "prompt", "sample", "policyFirst"],
    columns: {
      judge: text("the judge's name"),
      ...sampleKey,
      policyFirst: boolean("whether the judge saw the policy's response first"),
      preference: text<Preference>("'first', 'second', 'tie', or 'unreadable' where no answer had a verdict"),
      answer: nullable(text("the judge's words")),
    },
  }),
  winRates: table({
    comment: "how often a policy's responses beat the reference's, in a judge's eyes",
    key: ["policy", "judge"],
    asAdded: true,
    columns: {
      policy,
      judge: text("the judge's name"),
      question: text<Question>("'helpfulness' or 'safety'"),
      pairs: integer("judged"),
      wins: integer("in both orders"),
      losses: integer("in both orders"),
      ties: integer("neither"),
      unreadable: integer("pairs with an unreadable verdict, in no other count"),
      swayed: double("share of the readable pairs whose winner changed with the order: the judge's position bias"),
      rate: double("mean over prompts; ties count half"),
      low: double("bootstrap interval of the rate, prompts resampled: its lower end"),
      high: double("and its upper end"),
    },
  }),
  exact: table({
    comment:
      "policies against a problem's exact optimum pi*, every response to the held-out prompts counted with its probability; lists hold one value for each constraint",
    key: ["policy", "problem"],
    asAdded: true,
    columns: {
      policy: text("'reference', 'optimum' for pi* itself, or a trained policy"),
      problem: text<ProblemName>("whose scores state it: 'scorers' or 'preferences'"),
      lambda: nullable(lambda("exact for 'optimum', else what the policy was trained for in this problem")),
      klToOptimum: nullable(double("KL(policy || pi*), in nats; null where no policy reaches the margins")),
      klToOwn: nullable(double("KL(policy || p_lambda), the exact optimum of its own lambda")),
      kl: double("KL(policy || reference)"),
      rewardGain: double("over the reference"),
      safetyGain: doubles("over the reference"),
      violation: doubles("margin minus safety_gain: positive where the margin is missed"),
      ownViolation: nullable(doubles("of the exact p_lambda")),
      predictedViolation: nullable(doubles("of p_lambda as the solve found it from samples")),
      objectiveGap: nullable(
        double(
          "reward - beta * KL to the reference: that of pi* minus the policy's; below 0 where a policy buys reward with safety",
        ),
      ),
    },
  }),
  multipliers: table({
    comment: "iterations of a method that moves lambda as it trains",
    key: ["policy", "iteration"],
    columns: {
      policy,
      iteration: integer("from 1"),
      lambda: lambda("lambda in this iteration"),
      gain: doubles("gain in every safety score over the reference, measured on the training prompts"),
      tokensSampled: double("in this iteration"),
      tokensTrained: double("in this iteration"),
      flops: nullable(double("floating-point operations of the iteration, where they were counted")),
    },
  }),
  costs: table({
    comment: "what the work on a policy took, over all the times it was begun",
    key: ["policy", "activity"],
    columns: {
      policy: text("'reference' for what all policies share"),
      activity: text("'sample', 'score' and the scorer's name, 'pretrain', 'dual', 'relabel', 'train' or 'evaluate'"),
      seconds: double("time that it took"),
      flopsPerToken: nullable(double("floating-point operations of the forward pass of the model at work")),
      peakMemoryBytes: nullable(double("largest resident memory of the process meanwhile")),
    },
  }),
};

/** Tables by their names, with the types of their columns. */
export type Tables = typeof tables;
/** Name of a table. */
export type TableName = keyof Tables;
/** Row of the table of that name. */
export type RowOf<Name extends TableName> = Row<Tables[Name]>;

/** The tables of a run's database. The comments go into the database too: `SELECT * FROM duckdb_columns()` shows them. */

export type ColumnType = "VARCHAR" | "INTEGER" | "DOUBLE" | "INTEGER[]" | "DOUBLE[]" | "JSON" | "TIMESTAMP";

interface Table {
  comment: string;
  key: readonly string[];
  columns: Readonly<Record<string, readonly [type: ColumnType, comment: string]>>;
}

/** Raised when a table changes: a run of another version is refused, not misread. */
export const schemaVersion = "1";

const sampleKey = {
  policy: ["VARCHAR", "'reference', or the name of a trained policy: 'aligned'"],
  prompt: ["INTEGER", "prompts.prompt"],
  sample: ["INTEGER", "number of the response among its prompt's, from 0"],
} as const;

const policy = ["VARCHAR", "the trained policy that it belongs to"] as const;

export const tables = {
  meta: {
    comment: "what the run was started with: the recipe, its hash, versions",
    key: ["name"],
    columns: { name: ["VARCHAR", ""], value: ["VARCHAR", "text, or JSON"] },
  },
  stages: {
    comment: "the stages that are done",
    key: ["stage"],
    columns: {
      stage: ["VARCHAR", ""],
      seconds: ["DOUBLE", "time that the stage took since it was last started"],
      finished: ["TIMESTAMP", "UTC"],
    },
  },
  prompts: {
    comment: "the prompts of both splits",
    key: ["prompt"],
    columns: {
      prompt: ["INTEGER", "unique over both splits"],
      split: ["VARCHAR", "'train': sampled for the solve and the training; 'held-out': for evaluation only"],
      text: ["VARCHAR", "a plain prompt, template applied"],
      messages: ["JSON", "a prompt of chat messages; text is null"],
    },
  },
  samples: {
    comment: "responses",
    key: ["policy", "prompt", "sample"],
    columns: {
      ...sampleKey,
      response: ["VARCHAR", ""],
      response_ids: ["INTEGER[]", "its tokens, without the end token"],
      logprob: ["DOUBLE", "ln probability under its own policy at temperature 1, end token included where it stopped"],
      finish_reason: ["VARCHAR", "'stop' or 'length'"],
    },
  },
  scores: {
    comment: "scores of the responses, the recipe's sign and scale applied: higher is better",
    key: ["policy", "prompt", "sample", "scorer"],
    columns: { ...sampleKey, scorer: ["VARCHAR", "the scorer's name"], score: ["DOUBLE", ""] },
  },
  logprobs: {
    comment: "log-probabilities of the responses under other policies than their own",
    key: ["policy", "prompt", "sample", "under"],
    columns: {
      ...sampleKey,
      under: ["VARCHAR", "the policy that weighs it"],
      logprob: ["DOUBLE", "natural logarithm"],
    },
  },
  pairs: {
    comment: "pseudo-preferences between reference samples",
    key: ["policy", "pair"],
    columns: {
      policy,
      pair: ["INTEGER", "in training order, before shuffling"],
      prompt: ["INTEGER", "prompts.prompt"],
      first: ["INTEGER", "samples.sample"],
      second: ["INTEGER", "samples.sample"],
      probability: ["DOUBLE", "that first is preferred: sigmoid of the difference of r + <lambda, g>"],
      label: ["DOUBLE", "what training sees: the probability (soft labels), or a draw from it"],
    },
  },
  solves: {
    comment: "the dual's solution; lists hold one value for each constraint, in the recipe's order",
    key: ["policy"],
    columns: {
      policy,
      beta: ["DOUBLE", ""],
      margins: ["DOUBLE[]", "b"],
      multipliers: ["DOUBLE[]", "lambda*"],
      dual: ["DOUBLE", "D(lambda*)"],
      kkt: ["DOUBLE", "KKT residual: the certificate"],
      max_margin: ["DOUBLE[]", "the largest margin that the samples reach, constraint by constraint"],
      reward_gain: ["DOUBLE", "predicted"],
      safety_gain: ["DOUBLE[]", "predicted"],
      kl: ["DOUBLE", "predicted KL to the reference, in nats"],
      ess_mean: ["DOUBLE", "effective sample size, mean over prompts"],
      ess_min: ["DOUBLE", "and the smallest"],
    },
  },
  trainings: {
    comment: "finished trainings",
    key: ["policy"],
    columns: {
      policy,
      path: ["VARCHAR", "adapter or model folder, relative to the run folder"],
      pairs: ["INTEGER", ""],
      steps: ["INTEGER", ""],
      seconds: ["DOUBLE", ""],
    },
  },
  training_steps: {
    comment: "optimizer steps",
    key: ["policy", "step"],
    columns: {
      policy,
      step: ["INTEGER", ""],
      steps: ["INTEGER", "of the whole training"],
      loss: ["DOUBLE", ""],
      learning_rate: ["DOUBLE", ""],
      grad_norm: ["DOUBLE", ""],
      metrics: ["JSON", "the others, as TRL names them"],
    },
  },
  evaluations: {
    comment: "a trained policy against the reference on the held-out prompts",
    key: ["policy", "scorer"],
    columns: {
      policy,
      scorer: ["VARCHAR", "the scorer's name, or 'kl'"],
      role: ["VARCHAR", "'reward', 'safety', 'held-out' or 'kl'"],
      reference: ["DOUBLE", "mean score of the reference"],
      aligned: ["DOUBLE", "mean score of the trained policy"],
      predicted: ["DOUBLE", "the improvement that the dual predicts"],
      measured: ["DOUBLE", "the improvement"],
      low: ["DOUBLE", "bootstrap interval of the improvement, paired by prompt"],
      high: ["DOUBLE", ""],
      margin: ["DOUBLE", "asked for"],
      verdict: ["VARCHAR", "'held', 'not held' or 'undecided'"],
    },
  },
} as const satisfies Record<string, Table>;

export type TableName = keyof typeof tables;

const quote = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** SQL that makes every table, and one view for people: `scored` joins responses, prompts and scores. */
export function createStatements(): string[] {
  const statements = Object.entries(tables as Record<string, Table>).flatMap(([name, { comment, key, columns }]) => [
    `CREATE TABLE ${name} (${Object.entries(columns)
      .map(([column, [type]]) => `${column} ${type}`)
      .join(", ")}, PRIMARY KEY (${key.join(", ")}))`,
    `COMMENT ON TABLE ${name} IS ${quote(comment)}`,
    ...Object.entries(columns)
      .filter(([, [, comment]]) => comment)
      .map(([column, [, comment]]) => `COMMENT ON COLUMN ${name}.${column} IS ${quote(comment)}`),
  ]);
  return [
    ...statements,
    `CREATE VIEW scored AS
       SELECT policy, split, prompt, sample, scorer, score, coalesce(text, messages::VARCHAR) AS prompt_text, response
       FROM samples JOIN prompts USING (prompt) JOIN scores USING (policy, prompt, sample)`,
  ];
}

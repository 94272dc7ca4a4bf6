/** The tables of a run's database. The comments go into the database too: `SELECT * FROM duckdb_columns()` shows them. */

export type ColumnType = "VARCHAR" | "BOOLEAN" | "INTEGER" | "DOUBLE" | "INTEGER[]" | "DOUBLE[]" | "JSON" | "TIMESTAMP";

interface Table {
  comment: string;
  key: readonly string[];
  columns: Readonly<Record<string, readonly [type: ColumnType, comment: string]>>;
}

/** Raised when a table changes: a run of another version is refused, not misread. */
export const schemaVersion = "3";

const sampleKey = {
  policy: [
    "VARCHAR",
    "'reference', the name of a trained policy ('aligned', or a comparison's), or 'enumerated': every response there is",
  ],
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
      logprob: [
        "DOUBLE",
        "ln probability under its own policy ('enumerated': the reference) at the recipe's temperature, end token included where it stopped",
      ],
      finish_reason: ["VARCHAR", "'stop' or 'length'"],
    },
  },
  scores: {
    comment:
      "scores of the responses, sign and scale applied: higher is better. PeCAN's are implicit: beta * (logprob under the model of the scorer's name - logprob under the reference)",
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
      probability: ["DOUBLE", "that first is preferred: sigmoid of the difference"],
      difference: ["DOUBLE", "r + <lambda, g> of first minus that of second, divided as the recipe's labels are"],
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
      kl_terms: ["DOUBLE[]", "KL of the reference to PeCAN's safety models, in nats; null in MoCAN"],
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
  verdicts: {
    comment: "what judges said of a policy's responses against the reference's of the same number, in both orders",
    key: ["judge", "policy", "prompt", "sample", "policy_first"],
    columns: {
      judge: ["VARCHAR", "the judge's name"],
      ...sampleKey,
      policy_first: ["BOOLEAN", "whether the judge saw the policy's response first"],
      preference: ["VARCHAR", "'first', 'second', 'tie', or 'unreadable' where no answer had a verdict"],
      answer: ["VARCHAR", "the judge's words"],
    },
  },
  win_rates: {
    comment: "how often a policy's responses beat the reference's",
    key: ["policy", "judge"],
    columns: {
      policy,
      judge: ["VARCHAR", ""],
      question: ["VARCHAR", "'helpfulness' or 'safety'"],
      pairs: ["INTEGER", "judged"],
      wins: ["INTEGER", "in both orders"],
      losses: ["INTEGER", "in both orders"],
      ties: ["INTEGER", "neither"],
      unreadable: ["INTEGER", "pairs with an unreadable verdict, in no other count"],
      swayed: ["DOUBLE", "share of the readable pairs whose winner changed with the order"],
      rate: ["DOUBLE", "ties count half"],
      low: ["DOUBLE", "bootstrap interval, prompts resampled"],
      high: ["DOUBLE", ""],
    },
  },
  exact: {
    comment:
      "policies against a problem's exact optimum pi*, every response to the held-out prompts counted with its probability; lists hold one value for each constraint",
    key: ["policy", "problem"],
    columns: {
      policy: ["VARCHAR", "'reference', 'optimum' for pi* itself, or a trained policy"],
      problem: ["VARCHAR", "whose scores state it: 'scorers' or 'preferences'"],
      multipliers: ["DOUBLE[]", "lambda: exact for 'optimum', else what the policy was trained for in this problem"],
      kl_to_optimum: ["DOUBLE", "KL(policy || pi*), in nats; null where no policy reaches the margins"],
      kl_to_own: ["DOUBLE", "KL(policy || p_lambda), the exact optimum of its own lambda"],
      kl: ["DOUBLE", "KL(policy || reference)"],
      reward_gain: ["DOUBLE", ""],
      safety_gain: ["DOUBLE[]", ""],
      violation: ["DOUBLE[]", "margin minus safety_gain: positive where the margin is missed"],
      own_violation: ["DOUBLE[]", "of the exact p_lambda"],
      predicted_violation: ["DOUBLE[]", "of p_lambda as the solve found it from samples"],
      objective_gap: ["DOUBLE", "reward - beta * KL to the reference: that of pi* minus the policy's"],
    },
  },
  multipliers: {
    comment: "iterations of a method that moves lambda as it trains",
    key: ["policy", "iteration"],
    columns: {
      policy,
      iteration: ["INTEGER", "from 1"],
      multipliers: ["DOUBLE[]", "lambda in this iteration"],
      gain: ["DOUBLE[]", "gain in every safety score over the reference, measured on the training prompts"],
      tokens_sampled: ["DOUBLE", ""],
      tokens_trained: ["DOUBLE", ""],
      flops: ["DOUBLE", "floating-point operations of the iteration, where they were counted"],
    },
  },
  costs: {
    comment: "what the work on a policy took, over all the times it was begun",
    key: ["policy", "activity"],
    columns: {
      policy: ["VARCHAR", "'reference' for what all policies share"],
      activity: [
        "VARCHAR",
        "'sample', 'score' and the scorer's name, 'pretrain', 'dual', 'relabel', 'train' or 'evaluate'",
      ],
      seconds: ["DOUBLE", ""],
      flops_per_token: ["DOUBLE", "floating-point operations of the forward pass of the model at work"],
      peak_memory_bytes: ["DOUBLE", "largest resident memory of the process meanwhile"],
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

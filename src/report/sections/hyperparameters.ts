/** Hyperparameters of every kind of training in a comparison; a run's are its settings. */
import { hyperparameterColumns } from "../../methods/baselines/index.js";
import { table } from "../pieces.js";
import type { Section } from "../section.js";

/** Data of the section: a column for every kind of training, a row for every key that any of them has. */
export interface HyperparametersData {
  readonly columns: readonly string[];
  readonly rows: readonly { readonly name: string; readonly values: readonly string[] }[];
}

/** Hyperparameters, as the recipe writes them. */
export const hyperparameters: Section<"hyperparameters", HyperparametersData> = {
  id: "hyperparameters",
  title: "Hyperparameters",
  async gather({ comparison }) {
    if (!comparison) return null;
    const { batch_size: _, ...sampled } = comparison.sampling;
    const columns = hyperparameterColumns(comparison).map(({ column, entries }) => ({
      column,
      values: new Map(entries),
    }));
    const keys = [...new Set(columns.flatMap(({ values }) => [...values.keys()]))];
    const shared = [
      ...Object.entries(sampled).map(([key, value]) => [`sampling.${key}`, value] as const),
      ["seed", comparison.seed] as const,
    ];
    return {
      columns: columns.map(({ column }) => column),
      rows: [
        ...keys.map((name) => ({ name, values: columns.map(({ values }) => written(values.get(name))) })),
        ...shared.map(([name, value]) => ({ name, values: columns.map(() => written(value)) })),
      ],
    };
  },
  draw: ({ columns, rows }) =>
    table(
      "Of every kind of training",
      ["", ...columns],
      rows.map(({ name, values }) => [name, ...values]),
      { many: true },
    ),
};

function written(value: unknown): string {
  if (value === undefined) return "–";
  return Array.isArray(value) ? value.join(", ") : String(value);
}

/** What a section of the page is. A new one is a file in `sections/` and a line in `sections/index.ts`. */
import type { Html } from "./html.js";
import type { Study } from "./study/study.js";

/** Section of the pages of runs and of comparisons: where its data come from, and how they are drawn. */
export interface Section<Id extends string = string, Data = unknown> {
  /** Anchor in the page and key of its data. */
  readonly id: Id;
  readonly title: string;
  /** Data of the section as plain JSON; null where the run has nothing to show. */
  gather(study: Study): Promise<Data | null>;
  /** Markup of the data alone; null where nothing in them can be drawn. */
  draw(data: Data): Html | null;
}

/** Data of a section. */
export type DataOf<S> = S extends Section<string, infer Data> ? Data : never;

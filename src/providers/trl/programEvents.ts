/** Events of the program, a line of JSON each, wherever in a log they stand. */

/** Files of a result: checksums by name. */
type Checksums = Readonly<Record<string, string>>;

/** Event of the program; `dualign` counts them. */
export type ProgramEvent = { readonly dualign: number } & (
  | {
      readonly event: "start";
      readonly processes: number;
      readonly device: string;
      readonly distribution: string;
      readonly versions: Readonly<Record<string, string>>;
    }
  | { readonly event: "reference"; readonly done: number; readonly total: number }
  | { readonly event: "gap"; readonly mean: number; readonly largest: number; readonly rows: number }
  | {
      readonly event: "step";
      readonly step: number;
      readonly steps: number;
      readonly loss: number;
      readonly learning_rate: number;
      readonly grad_norm: number;
      readonly tokens: number;
      readonly [metric: `${string}/${string}`]: number;
    }
  | {
      readonly event: "eval";
      readonly step: number;
      readonly loss: number;
      readonly [metric: `${string}/${string}`]: number;
    }
  | { readonly event: "result"; readonly folder: string; readonly files: Checksums }
  | {
      readonly event: "file";
      readonly name: string;
      readonly node_id: string;
      readonly filename: string;
      readonly sha256: string;
      readonly bytes: number;
    }
  | { readonly event: "error"; readonly message: string; readonly kind: string; readonly rank: number }
);

/** Event in a line of a log; undefined where it holds none. Ray puts a worker's name and colours around it. */
export function readEvent(line: string): ProgramEvent | undefined {
  const start = line.indexOf('{"dualign": ');
  if (start < 0) return undefined;
  const end = line.lastIndexOf("}");
  try {
    return JSON.parse(line.slice(start, end + 1)) as ProgramEvent;
  } catch {
    return undefined;
  }
}

/**
 * What stands between a compiled graph and the machine. Everything that computes speaks to this interface only;
 * `providers/onnx/` implements it on onnxruntime-node, and a browser build can on onnxruntime-web.
 */
import type { HostTensor } from "./data.js";
import type { Graph } from "./graph.js";

/** A graph made ready to run. `release` gives its memory back; it is safe to call twice. */
export interface Executable {
  /** Runs once. Feeds every graph input by name; gives every graph output by name. */
  run(feeds: Readonly<Record<string, HostTensor>>): Promise<Record<string, HostTensor>>;
  release(): Promise<void>;
}

/** Options of loading a graph. */
export interface LoadOptions {
  /**
   * Whether weights are laid out for matrix products beforehand. That is a second copy of them, worth its memory where
   * products have few rows (sampling) and not where they have hundreds (training). Default true.
   */
  readonly prepack?: boolean;
}

/** Machine that graphs run on: `device` names it, `load` makes a graph ready. */
export interface Runtime {
  readonly device: string;
  load(graph: Graph, options?: LoadOptions): Promise<Executable>;
}

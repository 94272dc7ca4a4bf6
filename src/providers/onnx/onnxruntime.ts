/** The runtime on onnxruntime-node. */
import { realpathSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import * as ort from "onnxruntime-node";
import { InputError } from "../../errors.js";
import {
  type DType,
  type Executable,
  type Graph,
  type HostTensor,
  isOp,
  type LoadOptions,
  type Runtime,
  reachable,
  toOnnx,
} from "../../graph/index.js";

/** Device that computes: an execution provider of ONNX Runtime. */
export type Device = "cpu" | "webgpu" | "cuda";

/** Options of the runtime. */
export interface OnnxRuntimeOptions {
  /** ONNX Runtime's execution provider. Default "cpu". */
  readonly device?: Device;
  /** Threads of one operator; the default is the number of cores. */
  readonly threads?: number;
}

// What fails is thrown; it need not be printed as well.
ort.env.logLevel = "fatal";

/** The deepest folder that holds all the files, and each file's place in it, links resolved (a hub cache is full of them). */
function commonFolder(files: readonly string[]): { folder: string; locate: (file: string) => string } {
  const real = new Map(files.map((file) => [file, realpathSync(file)]));
  let folder = dirname([...real.values()][0] ?? join(".", "model"));
  for (const path of real.values())
    while (!path.startsWith(folder.endsWith(sep) ? folder : folder + sep)) folder = dirname(folder);
  return { folder, locate: (file) => relative(folder, real.get(file)!) };
}

class OnnxExecutable implements Executable {
  private released = false;
  constructor(private readonly session: ort.InferenceSession) {}

  async run(feeds: Readonly<Record<string, HostTensor>>): Promise<Record<string, HostTensor>> {
    const tensors: Record<string, ort.Tensor> = {};
    for (const [name, { dtype, dims, data }] of Object.entries(feeds))
      tensors[name] = new ort.Tensor(dtype as ort.Tensor.Type, data as never, dims as number[]);
    const results = await this.session.run(tensors);
    const outputs: Record<string, HostTensor> = {};
    for (const [name, t] of Object.entries(results))
      outputs[name] = { dtype: t.type as DType, dims: t.dims, data: t.data as HostTensor["data"] };
    return outputs;
  }

  async release(): Promise<void> {
    if (this.released) return;
    this.released = true;
    await this.session.release();
  }
}

/** Graphs on this machine: weights are read by ONNX Runtime from the files where they lie. */
export function onnxRuntime({ device = "cpu", threads = availableParallelism() }: OnnxRuntimeOptions = {}): Runtime {
  return {
    device,
    async load(graph: Graph, { prepack = true }: LoadOptions = {}): Promise<Executable> {
      const files = reachable(Object.values(graph.outputs)).flatMap((node) =>
        isOp(node, "weight") && node.attributes.stored.file ? [node.attributes.stored.file] : [],
      );
      const { folder, locate } = commonFolder([...new Set(files)]);
      try {
        const session = await ort.InferenceSession.create(toOnnx(graph, locate, device), {
          executionProviders: device === "cpu" ? ["cpu"] : [device, "cpu"],
          intraOpNumThreads: threads,
          graphOptimizationLevel: "all",
          logSeverityLevel: 4,
          extra: {
            session: {
              model_external_initializers_file_folder_path: folder,
              ...(prepack ? {} : { disable_prepacking: "1" }),
            },
          },
        });
        return new OnnxExecutable(session);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        if (device !== "cpu" && /provider|backend|adapter|device|library/i.test(message)) {
          // Its own source line and condition go before what ONNX Runtime has to say.
          const reason = message.split("\n")[0].replace(/^\/.* was false\. /, "");
          throw new InputError(`--device ${device} cannot be used on this machine (${reason}); use --device cpu`);
        }
        throw error;
      }
    },
  };
}

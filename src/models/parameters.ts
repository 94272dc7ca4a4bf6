/**
 * Where a model's tensors come from: frozen ones from its files, trained ones from one flat vector that is fed to the
 * graph, so that an optimizer sees one array and a gradient comes back as one array.
 */
import { InputError } from "../errors.js";
import {
  add,
  cast,
  constant,
  type Dim,
  input,
  matmul,
  mul,
  reshape,
  type StoredTensor,
  split,
  type Tensor,
  weight,
} from "../graph/index.js";

/** Entry of a parameter vector: a tensor's name, shape, and where it lies (`offset` and `size` count elements). */
export interface ParameterEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly size: number;
}

/** The order of the trained tensors in the flat vector. */
export class ParameterLayout {
  readonly entries: readonly ParameterEntry[];
  readonly size: number;
  private readonly byName: Map<string, number>;

  constructor(tensors: readonly { readonly name: string; readonly shape: readonly number[] }[]) {
    let offset = 0;
    this.entries = tensors.map(({ name, shape }) => {
      const size = shape.reduce((a, b) => a * b, 1);
      offset += size;
      return { name, shape, size, offset: offset - size };
    });
    this.size = offset;
    this.byName = new Map(this.entries.map((e, i) => [e.name, i]));
  }

  index(name: string): number | undefined {
    return this.byName.get(name);
  }

  /** The part of a flat vector that holds one tensor; writing to it writes to the vector. */
  view(flat: Float32Array, name: string): Float32Array {
    const { offset, size } = this.entries[this.byName.get(name)!];
    return flat.subarray(offset, offset + size);
  }
}

/** A low-rank adapter as it is applied: y += scale · dropout(x) Aᵀ Bᵀ on the modules it names. */
export interface LoraPlan {
  readonly modules: ReadonlySet<string>;
  readonly rank: number;
  /** lora_alpha / r, or lora_alpha / √r for rank-stabilised adapters. */
  readonly scale: number;
  /** Probability that an input of the low-rank branch is dropped. */
  readonly dropout: number;
}

/** Name of a module's LoRA matrix A, [r, in]. */
export const loraA = (module: string): string => `${module}.lora_A.weight`;

/** Name of a module's LoRA matrix B, [out, r]. */
export const loraB = (module: string): string => `${module}.lora_B.weight`;
/** The graph input that says which inputs of a module's low-rank branch are kept: uint8 [N, in]. */
export const keepMask = (module: string): string => `keep:${module}`;

/** Trained tensors with their values: low-rank pairs, and modules that were trained whole (a score head). */
export interface Adapter {
  readonly plan: LoraPlan;
  readonly layout: ParameterLayout;
  readonly values: Float32Array;
}

/** The tensors of one graph under construction. */
export class Parameters {
  private constructor(
    private readonly weights: ReadonlyMap<string, StoredTensor>,
    private readonly where: string,
    private readonly layout: ParameterLayout | undefined,
    private readonly lora: LoraPlan | undefined,
    /** One tensor per entry of the layout. */
    private readonly own: readonly Tensor[],
    /** Low-rank products are added to the weights, not to the activations. */
    private readonly merged: boolean,
    /** The graph input "parameters": [layout.size], where something is trained. */
    readonly flat?: Tensor,
  ) {}

  /**
   * Nothing is trained; an adapter, where given, is merged into the weights when the graph is loaded, or applied beside
   * them as in training, without its dropout.
   */
  static frozen(
    weights: ReadonlyMap<string, StoredTensor>,
    where: string,
    adapter?: Adapter,
    merged = true,
  ): Parameters {
    const own =
      adapter?.layout.entries.map((e) => constant(adapter.layout.view(adapter.values, e.name), e.shape)) ?? [];
    const plan = adapter && { ...adapter.plan, dropout: 0 };
    return new Parameters(weights, where, adapter?.layout, plan, own, merged);
  }

  /** The tensors of `layout` are fed at every run, in one vector. */
  static trained(
    weights: ReadonlyMap<string, StoredTensor>,
    where: string,
    layout: ParameterLayout,
    lora?: LoraPlan,
  ): Parameters {
    const flat = input("parameters", "float32", [layout.size]);
    const slices = split(
      flat,
      layout.entries.map((e) => e.size),
    );
    const own = slices.map((t, i) => reshape(t, layout.entries[i].shape));
    return new Parameters(weights, where, layout, lora, own, false, flat);
  }

  has(name: string): boolean {
    return this.weights.has(name) || this.isOwn(name);
  }

  /** Whether a tensor is trained, or came with the adapter. */
  isOwn(name: string): boolean {
    return this.layout?.index(name) !== undefined;
  }

  /** A tensor as the model's files have it, whatever an adapter that is put on the model holds under its name. */
  stored(name: string, shape: readonly number[]): Tensor {
    return weight(requireWeight(this.weights, name, shape, this.where));
  }

  /** Whether what is trained or fixed here is an adapter on the model, not the model itself. */
  get adapts(): boolean {
    return this.lora !== undefined;
  }

  /** A tensor by its name in the file. Throws InputError where it is missing or has another shape. */
  tensor(name: string, shape: readonly number[]): Tensor {
    const index = this.layout?.index(name);
    if (index === undefined) return this.stored(name, shape);
    const { shape: found } = this.layout!.entries[index];
    if (found.length !== shape.length || found.some((d, i) => d !== shape[i]))
      throw new InputError(
        `${this.where}: the trained tensor "${name}" has shape [${found}], the model asks for [${shape}]`,
      );
    return this.own[index];
  }

  /**
   * x [N, inSize] times a module's weight, with its bias and its adapter where it has one: [N, outSize].
   * The weight is [out, in] as in torch.nn.Linear, or [in, out] (`transposed`) as in GPT-2.
   */
  linear(
    x: Tensor,
    module: string,
    inSize: number,
    outSize: number,
    { bias = false, transposed = false } = {},
  ): Tensor {
    const { lora } = this;
    let w = this.tensor(`${module}.weight`, transposed ? [inSize, outSize] : [outSize, inSize]);
    const low = lora?.modules.has(module)
      ? {
          a: this.tensor(loraA(module), [lora.rank, inSize]),
          b: this.tensor(loraB(module), [outSize, lora.rank]),
          alpha: lora.scale,
        }
      : undefined;
    if (low && this.merged)
      w = add(
        w,
        transposed ? matmul(low.a, low.b, { transA: true, transB: true, alpha: low.alpha }) : matmul(low.b, low.a, low),
      );
    let y = matmul(x, w, { transB: !transposed });
    if (bias) y = add(y, this.tensor(`${module}.bias`, [outSize]));
    if (!low || this.merged) return y;
    const narrow = matmul(this.drop(x, module, inSize), low.a, { transB: true });
    return add(y, matmul(narrow, low.b, { transB: true, alpha: low.alpha }));
  }

  private drop(x: Tensor, module: string, inSize: number): Tensor {
    const p = this.lora!.dropout;
    if (p === 0) return x;
    const keep = input(keepMask(module), "uint8", [x.shape[0] as Dim, inSize]);
    return mul(x, mul(cast(keep, "float32"), 1 / (1 - p)));
  }

  /** The trained tensors whose names begin with `prefix`, as graph tensors. */
  trainedUnder(prefix: string): Tensor[] {
    return this.own.filter((_, i) => this.layout!.entries[i].name.startsWith(prefix));
  }

  /** The same parameters, with other tensors standing for those that `trainedUnder(prefix)` gave. */
  replacing(prefix: string, tensors: readonly Tensor[]): Parameters {
    const rest = [...tensors];
    const own = this.own.map((t, i) => (this.layout!.entries[i].name.startsWith(prefix) ? rest.shift()! : t));
    return new Parameters(this.weights, this.where, this.layout, this.lora, own, this.merged, this.flat);
  }
}

/** A weight of the expected shape. `where` names the model in the message. */
export function requireWeight(
  weights: ReadonlyMap<string, StoredTensor>,
  name: string,
  shape: readonly number[],
  where: string,
): StoredTensor {
  const stored = weights.get(name);
  if (!stored)
    throw new InputError(
      `${where}: tensor "${name}" is missing; the weights do not belong to this config.json, or a file is incomplete`,
    );
  if (stored.shape.length !== shape.length || stored.shape.some((d, i) => d !== shape[i]))
    throw new InputError(
      `${stored.file ?? where}: tensor "${name}" has shape [${stored.shape.join(", ")}], config.json asks for [${shape.join(", ")}]`,
    );
  if (!["float32", "float16", "bfloat16"].includes(stored.dtype))
    throw new InputError(
      `${stored.file ?? where}: tensor "${name}" is of type ${stored.dtype}; float32, float16 and bfloat16 are supported (a quantized checkpoint has to be dequantized first)`,
    );
  return stored;
}

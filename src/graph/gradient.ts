/** Reverse-mode differentiation: walks the graph backward and lets each op's rule append its part. */
import { type Node, reachable, type Tensor } from "./graph.js";
import { add, constant, GRADIENTS } from "./ops.js";

/**
 * dL/dx for each x of `wrt`, where L is the scalar `y` (or ⟨y, upstream⟩ where `upstream`, of y's shape, is given).
 * Only nodes on a path from a `wrt` to y get a backward pass, so frozen weights cost nothing.
 * Throws when an x does not influence y, or an op on the way is not differentiable. With `partial`, the tensors of `wrt`
 * count as independent even where one is computed from another.
 */
export function gradients(
  y: Tensor,
  wrt: readonly Tensor[],
  upstream?: Tensor,
  { partial = false }: { readonly partial?: boolean } = {},
): Tensor[] {
  if (!upstream && y.rank !== 0) throw new Error(`the gradient of ${y} needs an upstream gradient: it is not a scalar`);
  const nodes = reachable([y]);
  const leaves = new Set(wrt);
  const active = new Set<Node>();
  const isActive = (t: Tensor) => leaves.has(t) || active.has(t.node);
  for (const node of nodes) if (node.inputs.some(isActive)) active.add(node);

  const pending = new Map<Tensor, Tensor>([[y, upstream ?? constant(1)]]);
  for (const node of nodes.reverse()) {
    if (!active.has(node)) continue;
    const dys = node.outputs.map((t) => (partial && leaves.has(t) ? undefined : pending.get(t)));
    if (dys.every((dy) => dy === undefined)) continue;
    const rule = GRADIENTS[node.op] as
      | ((n: Node, dys: (Tensor | undefined)[], needed: boolean[]) => (Tensor | undefined)[])
      | undefined;
    if (!rule) throw new Error(`${node.op} is not differentiable, but ${node.outputs[0]} lies on the way`);
    const parts = rule(node, dys, node.inputs.map(isActive));
    for (const [i, part] of parts.entries()) {
      const x = node.inputs[i];
      if (!part || !isActive(x)) continue;
      const sum = pending.get(x);
      pending.set(x, sum ? add(sum, part) : part);
    }
  }
  return wrt.map((x) => {
    const dx = pending.get(x);
    if (!dx) throw new Error(`${y} does not depend on ${x}`);
    return dx;
  });
}

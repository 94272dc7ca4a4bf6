// A function made of ops, mish(x) = x · tanh(ln(1 + eˣ)), and its gradient: first in float64, then by ONNX Runtime.
// node examples/op-with-gradient.mjs
import { evaluateGraph, float32, gradients, ops } from "dualign/graph";
import { onnxRuntime } from "dualign/train";

const mish = (x) => ops.mul(x, ops.tanh(ops.softplus(x)));

// "N" is a size that may differ from run to run.
const x = ops.input("x", "float32", ["N"]);
const y = mish(x);
const [dx] = gradients(ops.reduceSum(y), [x]);
const graph = { outputs: { y, dx } };

const points = [-2, -0.5, 0, 1, 3];
const feeds = { x: float32(points, [points.length]) };
const exact = evaluateGraph(graph, feeds);

const executable = await onnxRuntime().load(graph);
const found = await executable.run(feeds);
await executable.release();

for (const [i, point] of points.entries())
  console.log(
    JSON.stringify({
      x: point,
      y: exact.y.data[i],
      dx: exact.dx.data[i],
      onnx: { y: found.y.data[i], dx: found.dx.data[i] },
    }),
  );

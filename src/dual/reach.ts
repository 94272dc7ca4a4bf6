import type { Passes } from "./passes.js";

/** Reach of the samples: how far any reweighting of them can raise the safety scores. */
export interface Reach {
  /** True if some reweighting of the responses exceeds every margin at once. */
  readonly feasible: boolean;
  /**
   * The combination of constraints that is hardest to satisfy: weights ≥ 0 that sum to 1 (1 for a single constraint).
   * In an infeasible problem this combination is the conflict.
   */
  readonly weights: number[];
  /** The largest reachable gain ⟨weights, E g − E_ref g⟩; for one constraint, the largest reachable margin. */
  readonly largest: number;
  /** The gain that the margins ask of that combination: ⟨weights, b⟩. */
  readonly asked: number;
}

/**
 * Decides whether the margins can be reached: the problem is infeasible exactly when some w ≥ 0, w ≠ 0 has
 * V(w) = E_x max_y ⟨w, h⟩ ≤ 0. For one constraint that is one number; for several V is convex and piecewise linear, and
 * cutting planes find its minimum over the simplex exactly.
 * @param margins b_j. @param scale spread of each g_j, which makes the w_j comparable.
 */
export function* reach(margins: Float64Array, scale: Float64Array): Passes<Reach> {
  const m = margins.length;
  const cuts: Float64Array[] = [];
  let weights: Float64Array = new Float64Array(m).fill(1 / m);
  let best = { value: Infinity, weights, largest: 0 };
  for (let round = 0; round < 300; round++) {
    const scaled = weights.map((w, j) => w / scale[j]);
    const sums = yield { kind: "reach", weights: scaled };
    const cut = new Float64Array(m);
    let largest = 0;
    for (let j = 0; j < m; j++) {
      const gain = sums[1 + j] / sums[0];
      cut[j] = (gain - margins[j]) / scale[j];
      largest += scaled[j] * gain;
    }
    cuts.push(cut);
    const value = dot(weights, cut);
    if (value < best.value) best = { value, weights, largest };
    const game = minimaxWeights(cuts);
    if (best.value - game.value <= 1e-10 * (1 + Math.abs(best.value))) break;
    weights = game.weights;
  }
  const scaled = best.weights.map((w, j) => w / scale[j]);
  const total = scaled.reduce((a, b) => a + b, 0);
  const combination = scaled.map((w) => w / total);
  return {
    feasible: best.value > 0,
    weights: [...combination],
    largest: best.largest / total,
    asked: dot(combination, margins),
  };
}

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/**
 * The w on the simplex that minimizes max_k ⟨w, cut_k⟩, and that minimum: a matrix game, solved as the linear program
 * max Σu subject to ⟨cut_k + shift, u⟩ ≤ 1, u ≥ 0 by the simplex method with Bland's rule.
 */
export function minimaxWeights(cuts: readonly Float64Array[]): { weights: Float64Array; value: number } {
  const m = cuts[0].length;
  const rows = cuts.length;
  const shift = 1 - Math.min(...cuts.map((cut) => Math.min(...cut)));
  // Columns: u, slacks, right-hand side; the last row holds the reduced costs.
  const width = m + rows + 1;
  const tableau = Array.from({ length: rows + 1 }, () => new Float64Array(width));
  cuts.forEach((cut, k) => {
    for (let j = 0; j < m; j++) tableau[k][j] = cut[j] + shift;
    tableau[k][m + k] = 1;
    tableau[k][width - 1] = 1;
  });
  tableau[rows].fill(-1, 0, m);
  const basis = Array.from({ length: rows }, (_, k) => m + k);
  for (let round = 0; round < 100 * (m + rows); round++) {
    const enter = tableau[rows].findIndex((cost, j) => j < width - 1 && cost < -1e-13);
    if (enter < 0) break;
    let leave = -1;
    let ratio = Infinity;
    for (let k = 0; k < rows; k++) {
      if (tableau[k][enter] <= 1e-13) continue;
      const r = tableau[k][width - 1] / tableau[k][enter];
      if (r < ratio || (r === ratio && basis[k] < basis[leave])) {
        ratio = r;
        leave = k;
      }
    }
    if (leave < 0) break;
    const pivotRow = tableau[leave];
    const pivot = pivotRow[enter];
    for (let j = 0; j < width; j++) pivotRow[j] /= pivot;
    for (let k = 0; k <= rows; k++) {
      const factor = tableau[k][enter];
      if (k === leave || factor === 0) continue;
      for (let j = 0; j < width; j++) tableau[k][j] -= factor * pivotRow[j];
    }
    basis[leave] = enter;
  }
  const u = new Float64Array(m);
  basis.forEach((column, k) => {
    if (column < m) u[column] = tableau[k][width - 1];
  });
  const total = u.reduce((a, b) => a + b, 0);
  return { weights: u.map((value) => value / total), value: 1 / total - shift };
}

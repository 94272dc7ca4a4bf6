/**
 * The minimizer of ½ zᵀHz + qᵀz over z ≥ 0 for a positive definite H (m × m, row-major): the active-set method of Lawson
 * and Hanson. m is a handful, so every subproblem is solved afresh.
 */
export function nonNegativeQuadratic(hessian: Float64Array, q: Float64Array): Float64Array {
  const m = q.length;
  const z = new Float64Array(m);
  const free: number[] = [];
  for (let round = 0; round < 10 * m + 10; round++) {
    let enter = -1;
    let steepest = 0;
    for (let j = 0; j < m; j++) {
      if (free.includes(j)) continue;
      let slope = -q[j];
      for (let k = 0; k < m; k++) slope -= hessian[j * m + k] * z[k];
      slope /= Math.sqrt(hessian[j * m + j]);
      if (slope > steepest) {
        steepest = slope;
        enter = j;
      }
    }
    if (enter < 0) break;
    free.push(enter);
    while (free.length > 0) {
      const target = solveOn(free, hessian, q);
      let fraction = 1;
      free.forEach((j, i) => {
        if (target[i] <= 0) fraction = Math.min(fraction, z[j] / (z[j] - target[i]));
      });
      if (fraction === 1 && target.every((value) => value > 0)) {
        free.forEach((j, i) => {
          z[j] = target[i];
        });
        break;
      }
      for (let i = free.length - 1; i >= 0; i--) {
        const j = free[i];
        const blocked = target[i] <= 0 && z[j] / (z[j] - target[i]) <= fraction;
        z[j] = blocked ? 0 : z[j] + fraction * (target[i] - z[j]);
        if (blocked) free.splice(i, 1);
      }
    }
    // A variable that leaves as it enters would do so for ever: rounding has the last word.
    if (!free.includes(enter) && z[enter] === 0) break;
  }
  return z;
}

/** Solves H_FF z = −q_F by Cholesky. */
function solveOn(free: readonly number[], hessian: Float64Array, q: Float64Array): Float64Array {
  const m = q.length;
  const n = free.length;
  const factor = new Float64Array(n * n);
  const z = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = hessian[free[i] * m + free[j]];
      for (let k = 0; k < j; k++) sum -= factor[i * n + k] * factor[j * n + k];
      factor[i * n + j] = i === j ? Math.sqrt(Math.max(sum, Number.MIN_VALUE)) : sum / factor[j * n + j];
    }
    let sum = -q[free[i]];
    for (let k = 0; k < i; k++) sum -= factor[i * n + k] * z[k];
    z[i] = sum / factor[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) z[i] -= factor[k * n + i] * z[k];
    z[i] /= factor[i * n + i];
  }
  return z;
}

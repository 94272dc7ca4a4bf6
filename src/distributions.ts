/**
 * Distribution functions of the normal and Student's t distribution. The npm packages that have them bring a library of
 * distributions each; these four functions are all that intervals need, and SciPy's values are in the tests.
 */

/** Φ(z), the standard normal distribution function, to a relative error of about 1e-13 in either tail. */
export function normalCdf(z: number): number {
  if (z > 0) return 1 - normalCdf(-z);
  if (z < -38) return 0;
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  if (z > -3) {
    // Φ(z) = ½ + φ(z) (z + z³/3 + z⁵/15 + …).
    let [term, sum] = [z, z];
    for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum); k += 2) {
      term *= (z * z) / k;
      sum += term;
    }
    return 0.5 + density * sum;
  }
  // Laplace's continued fraction of Mills' ratio.
  let fraction = 0;
  for (let k = 120; k > 0; k--) fraction = k / (-z + fraction);
  return density / (-z + fraction);
}

/** The z with Φ(z) = p, for p in [0, 1]. */
export function normalQuantile(p: number): number {
  if (!(p > 0)) return p === 0 ? -Infinity : Number.NaN;
  if (p > 0.5) return p < 1 ? -normalQuantile(1 - p) : p === 1 ? Infinity : Number.NaN;
  // A start within 0.1, then Newton's method on ln Φ, which is concave.
  const t = Math.sqrt(-2 * Math.log(p));
  let z = -(t - (2.30753 + 0.27061 * t) / (1 + 0.99229 * t + 0.04481 * t * t));
  for (let round = 0; round < 20; round++) {
    const cdf = normalCdf(z);
    const step = (cdf * Math.log(cdf / p) * Math.sqrt(2 * Math.PI)) / Math.exp((-z * z) / 2);
    z -= step;
    if (Math.abs(step) <= 1e-14 * Math.abs(z)) break;
  }
  return p === 0.5 ? 0 : z;
}

/** The distribution function of Student's t with `freedom` degrees of freedom. */
export function studentCdf(t: number, freedom: number): number {
  if (t > 0) return 1 - studentCdf(-t, freedom);
  return regularizedBeta(freedom / (freedom + t * t), freedom / 2, 0.5) / 2;
}

/** The t below which Student's t with `freedom` degrees of freedom lies with probability p, p in [0, 1]. */
export function studentQuantile(p: number, freedom: number): number {
  if (!(p > 0)) return p === 0 ? -Infinity : Number.NaN;
  if (p > 0.5) return p < 1 ? -studentQuantile(1 - p, freedom) : p === 1 ? Infinity : Number.NaN;
  if (p === 0.5) return 0;
  let high = 0;
  let low = normalQuantile(p);
  while (studentCdf(low, freedom) > p) [low, high] = [2 * low, low];
  const scale = Math.exp(logGamma((freedom + 1) / 2) - logGamma(freedom / 2)) / Math.sqrt(freedom * Math.PI);
  let t = low;
  for (let round = 0; round < 200; round++) {
    const cdf = studentCdf(t, freedom);
    if (cdf < p) low = t;
    else high = t;
    const density = scale * (1 + (t * t) / freedom) ** (-(freedom + 1) / 2);
    const newton = t - (cdf - p) / density;
    const next = newton > low && newton < high ? newton : (low + high) / 2;
    if (Math.abs(next - t) <= 1e-14 * Math.abs(t)) return next;
    t = next;
  }
  return t;
}

/**
 * The quantile of the studentized mean, (mean − μ)/(its standard error), of n values of some skewness: Student's, carried
 * back through Hall's transformation, which takes the skewness away to the order of 1/n (Hall, On the removal of skewness
 * by transformation, JRSS B 54, 1992).
 */
export function studentizedQuantile(p: number, { count, skewness }: { count: number; skewness: number }): number {
  const student = studentQuantile(p, count - 1);
  const a = skewness / Math.sqrt(count);
  return Math.abs(a) < 1e-9 ? student : (3 / a) * (Math.cbrt(1 + a * (student - a / 6)) - 1);
}

/** I_x(a, b), the regularized incomplete beta function, by its continued fraction (modified Lentz). */
function regularizedBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // The fraction converges fast only on this side of the mean.
  if (x > (a + 1) / (a + b + 2)) return 1 - regularizedBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  const tiny = 1e-300;
  let c = 1;
  let d = 1 / (1 - ((a + b) * x) / (a + 1) || tiny);
  let fraction = d;
  for (let k = 1; k < 1000; k++) {
    const even = (k * (b - k) * x) / ((a + 2 * k - 1) * (a + 2 * k));
    d = 1 / (1 + even * d || tiny);
    c = 1 + even / c || tiny;
    fraction *= c * d;
    const odd = (-(a + k) * (a + b + k) * x) / ((a + 2 * k) * (a + 2 * k + 1));
    d = 1 / (1 + odd * d || tiny);
    c = 1 + odd / c || tiny;
    fraction *= c * d;
    if (Math.abs(c * d - 1) < 1e-16) break;
  }
  return front * fraction;
}

/** ln Γ(x) for x > 0: Stirling's series, after the recurrence has brought x to 12 or more. */
function logGamma(x: number): number {
  let shift = 0;
  let y = x;
  for (; y < 12; y++) shift += Math.log(y);
  const inverse = 1 / (y * y);
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse * (1 / 1680 - inverse / 1188)))) / y;
  return (y - 0.5) * Math.log(y) - y + Math.log(2 * Math.PI) / 2 + series - shift;
}

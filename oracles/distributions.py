"""Values of SciPy's normal and Student distributions, and group-sequential crossing probabilities by its multivariate
normal distribution function, for `distributions.ts` and `evaluate/sequential.ts`."""

import json
import pathlib

import numpy as np
from scipy import optimize, stats

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "test" / "golden" / "distributions.json"

z = [-30, -12, -6, -3.1, -2.9, -1.5, -0.3, 0, 0.7, 2, 4.5]
p = [1e-200, 1e-12, 1e-6, 0.001, 0.025, 0.2, 0.5, 0.61, 0.975, 0.9999]
freedom = [1, 2, 5, 12.5, 29, 99, 3000]
t = [-40, -8, -2.5, -1, -0.2, 0, 0.4, 3]

def spent(fraction, alpha):
    """Lan and DeMets' spending function of O'Brien and Fleming's kind, one-sided."""
    return 2 - 2 * stats.norm.cdf(stats.norm.ppf(1 - alpha / 2) / np.sqrt(fraction))

def boundaries(fractions, alpha):
    """Each look's critical value, solved one after another with the multivariate normal distribution function."""
    found = []
    for k in range(len(fractions)):
        f = np.array(fractions[: k + 1])
        cov = np.sqrt(np.minimum.outer(f, f) / np.maximum.outer(f, f))
        def excess(c):
            upper = np.array(found + [c])
            below = stats.norm.cdf(c) if k == 0 else stats.multivariate_normal.cdf(
                upper, mean=np.zeros(k + 1), cov=cov, maxpts=4_000_000, abseps=1e-9, releps=1e-9, rng=np.random.default_rng(1)
            )
            return 1 - below - spent(f[-1], alpha)
        found.append(float(optimize.brentq(excess, 1, 8, xtol=1e-6)))
    return found

looks = [
    {"fractions": f, "alpha": a, "boundaries": boundaries(f, a)}
    for f, a in [([0.5, 1], 0.025), ([0.25, 0.5, 1], 0.05), ([0.2, 0.4, 0.6, 0.8, 1], 0.025), ([0.7, 0.8, 1], 0.025)]
]
GOLDEN.write_text(
    json.dumps(
        {
            "normalCdf": [[x, float(stats.norm.cdf(x))] for x in z],
            "normalQuantile": [[x, float(stats.norm.ppf(x))] for x in p],
            "studentCdf": [[x, f, float(stats.t.cdf(x, f))] for f in freedom for x in t],
            "studentQuantile": [[x, f, float(stats.t.ppf(x, f))] for f in freedom for x in p if x > 1e-100],
            "looks": looks,
        },
        indent=1,
    )
    + "\n"
)
print(looks)

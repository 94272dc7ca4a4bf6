"""Solves small dual problems with SciPy and writes test/golden/dual.json.

Independent of the TypeScript solver in everything: D by scipy.special.logsumexp, one multiplier by a bracketed root-find
on the slope, several by bounded quasi-Newton and a root-find on the free ones, feasibility by a linear program over all
reweightings of the samples. Every answer is checked against the optimality conditions and against points around it.

    python oracles/dual.py
"""

import json
import pathlib

import numpy as np
from scipy.optimize import brentq, linprog, minimize, root
from scipy.special import logsumexp, softmax

GOLDEN = pathlib.Path(__file__).parent.parent / "test" / "golden" / "dual.json"
rng = np.random.default_rng(20240529)


def sample(sizes, constraints, spread=(2.0, 1.0), offset=0.0, digits=4):
    """Correlated scores of ragged groups: a list of prompts, each (n, 1 + m) with the reward first."""
    prompts = []
    for n in sizes:
        shared = rng.normal(size=(n, 1))
        own = rng.normal(size=(n, 1 + constraints))
        table = np.hstack([spread[0] * (shared + own[:, :1]), offset + spread[1] * (own[:, 1:] - 0.6 * shared)])
        prompts.append(np.round(table + rng.normal(size=(1, 1 + constraints)), digits))
    return prompts


class Dual:
    def __init__(self, prompts, beta, margins):
        self.beta = beta
        self.margins = np.array(margins, float)
        self.reward = [p[:, 0] for p in prompts]
        self.mean = np.mean([p[:, 1:].mean(axis=0) for p in prompts], axis=0)
        self.h = [p[:, 1:] - self.mean - self.margins for p in prompts]

    def value(self, lam):
        return np.mean(
            [
                self.beta * (logsumexp((r + h @ lam) / self.beta) - np.log(len(r)))
                for r, h in zip(self.reward, self.h)
            ]
        )

    def slope(self, lam):
        return np.mean([softmax((r + h @ lam) / self.beta) @ h for r, h in zip(self.reward, self.h)], axis=0)

    def solve(self):
        m = len(self.margins)
        if m == 1:
            slope = lambda x: self.slope(np.array([x]))[0]
            if slope(0.0) >= 0:
                return np.zeros(1)
            high = 1.0
            while slope(high) < 0:
                high *= 2
            return np.array([brentq(slope, 0, high, xtol=1e-300, rtol=8.9e-16, maxiter=1000)])
        found = minimize(
            self.value, np.full(m, 0.5), jac=self.slope, bounds=[(0, None)] * m, method="L-BFGS-B",
            options={"ftol": 1e-16, "gtol": 1e-12, "maxiter": 10000},
        ).x
        free = found > 1e-7
        if not free.any():
            return np.zeros(m)

        def on_free(x):
            lam = np.zeros(m)
            lam[free] = x
            return self.slope(lam)[free]

        polished = root(on_free, found[free], tol=1e-15).x
        lam = np.zeros(m)
        lam[free] = polished
        return lam

    def slack(self, scale):
        """The largest t such that some reweighting has (gain_j - b_j) / scale_j >= t for all j."""
        sizes = [len(r) for r in self.reward]
        total = sum(sizes)
        m = len(self.margins)
        h = np.vstack([h / len(sizes) for h in self.h]) / scale
        equal = np.zeros((len(sizes), total + 1))
        at = 0
        for x, n in enumerate(sizes):
            equal[x, at : at + n] = 1
            at += n
        answer = linprog(
            np.append(np.zeros(total), -1.0),
            A_ub=np.hstack([-h.T, np.ones((m, 1))]), b_ub=np.zeros(m),
            A_eq=equal, b_eq=np.ones(len(sizes)),
            bounds=[(0, None)] * total + [(None, None)], method="highs",
        )
        assert answer.success
        return -answer.fun


def case(name, prompts, beta, margins, log_probs=False):
    """`prompts` hold scores, or log-probabilities with the reference's in front."""
    scores = [beta * (p[:, 1:] - p[:, :1]) for p in prompts] if log_probs else prompts
    dual = Dual(scores, beta, margins)
    scale = np.mean([p[:, 1:].std(axis=0) for p in scores], axis=0)
    slack = dual.slack(scale)
    out = {
        "name": name,
        "beta": beta,
        "margins": list(margins),
        ("logProbs" if log_probs else "scores"): [p.T.tolist() for p in prompts],
        "scale": scale.tolist(),
        "slack": slack,
        "feasible": bool(slack > 0),
    }
    if log_probs:
        out["klTerms"] = np.mean([(p[:, :1] - p[:, 2:]).mean(axis=0) for p in prompts], axis=0).tolist()
    if slack > 0:
        lam = dual.solve()
        slope = dual.slope(lam)
        kkt = np.abs(np.minimum(lam, slope)).max()
        assert kkt <= 1e-10 * max(1.0, scale.max()), (name, kkt)
        for _ in range(500):
            near = np.maximum(0, lam + rng.normal(size=lam.shape) * 10.0 ** rng.uniform(-6, 1))
            assert dual.value(near) >= dual.value(lam) - 1e-9 * abs(dual.value(lam)), name
        p = [softmax((r + h @ lam) / beta) for r, h in zip(dual.reward, dual.h)]
        out |= {
            "lambda": lam.tolist(),
            "dual": dual.value(lam),
            "rewardGain": float(np.mean([q @ r - r.mean() for q, r in zip(p, dual.reward)])),
            "safetyGain": (slope + dual.margins).tolist(),
            "kl": float(np.mean([np.log(len(q)) + np.sum(q * np.log(np.maximum(q, 1e-300))) for q in p])),
            "ess": [float(1 / np.sum(q * q)) for q in p],
        }
    return out


def largest_margin(prompts):
    return float(np.mean([p[:, 1].max() - p[:, 1].mean() for p in prompts]))


def log_prob_rows(sizes, constraints):
    prompts = []
    for n in sizes:
        reference = -rng.gamma(8, 6, size=(n, 1))
        tilt = rng.normal(size=(n, 1 + constraints)) * 3 - 2
        tilt[:, 1:] -= 0.5 * tilt[:, :1]
        prompts.append(np.round(np.hstack([reference, reference + tilt]), 6))
    return prompts


even = [8] * 20
ragged = [2, 3, 5, 9, 2, 14, 4, 7, 6, 3, 11, 2]
one = sample(even, 1)
two = sample(even, 2)
three = sample(ragged, 3)
cases = [
    case("one constraint", one, 0.1, [0.5]),
    case("one constraint, larger beta", one, 3.0, [0.5]),
    case("one constraint, huge beta", one, 1e6, [0.5]),
    case("one constraint, tiny beta", one, 1e-3, [0.5]),
    case("a margin already met", one, 0.1, [-3.0]),
    case("close to the largest margin", one, 0.5, [1.7]),
    case("out of reach", one, 0.1, [2.5]),
    case("ragged groups", sample(ragged, 1), 0.1, [0.4]),
    case("a large offset", sample(even, 1, offset=1e4, digits=3), 0.1, [0.5]),
    case("scores of large scale", sample(even, 1, spread=(2e6, 3e4)), 1e5, [1e4]),
    case("two constraints, both active", two, 0.1, [0.5, 0.4]),
    case("two constraints, one active", two, 0.1, [0.6, -2.0]),
    case("two constraints, none active", two, 0.5, [-2.0, -3.0]),
    case("two constraints, larger beta", two, 5.0, [0.5, 0.4]),
    case("two constraints, each within reach but not both", sample([3] * 12, 2), 0.1, [0.75, 0.75]),
    case("three constraints, ragged", three, 0.2, [0.3, 0.3, 0.2]),
    case("three constraints, some active", three, 0.2, [0.4, -1.5, 0.2]),
    case("three constraints, barely within reach", three, 0.2, [0.8, 0.9, 1.0]),
    case("three constraints, out of reach", three, 0.2, [0.9, 1.0, 1.0]),
    case("log-probabilities", log_prob_rows(even, 1), 0.1, [0.1], log_probs=True),
    case("log-probabilities, two constraints, ragged", log_prob_rows(ragged, 2), 0.025, [0.02, 0.03], log_probs=True),
    case("one constraint, beta 1e-4", one, 1e-4, [0.5]),
    case("scores in millions, beta 0.1", sample(even, 1, spread=(2e6, 1e6), digits=0), 0.1, [5e5]),
    case("scores in billionths", [p * 1e-9 for p in one], 1e-10, [5e-10]),
    case("scores in millions apart from zero, beta 1", sample(even, 1, offset=1e6, digits=3), 1.0, [0.5]),
    case("within 1e-6 of the largest margin", one, 0.5, [largest_margin(one) * (1 - 1e-6)]),
    case("five constraints, ragged", sample(ragged * 4, 5), 0.3, [0.2, 0.3, -1.0, 0.1, 0.25]),
    case("log-probabilities, three constraints", log_prob_rows(even, 3), 0.1, [0.05, 0.1, 0.02], log_probs=True),
]
GOLDEN.parent.mkdir(exist_ok=True)
GOLDEN.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
for c in cases:
    print(c["name"], c["feasible"], c["slack"], c.get("lambda"))

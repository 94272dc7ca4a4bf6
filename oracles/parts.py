"""Margins on a mean, on the share of unsafe responses and on two categories, solved with SciPy; writes test/golden/parts.json.

The primal itself, with no dual: the policy's probabilities are the unknowns, the margins are stated as they are said in
words (a mean over one category's prompts, a share of responses above a threshold), and SLSQP maximizes
reward - beta KL under them.

    python oracles/parts.py
"""

import json
import pathlib

import numpy as np
from scipy.optimize import minimize

GOLDEN = pathlib.Path(__file__).parent.parent / "test" / "golden" / "parts.json"
rng = np.random.default_rng(16)

prompts, responses, beta, threshold = 8, 6, 0.7, 0.25
category = ["risky" if x % 4 == 0 else "everyday" for x in range(prompts)]
reward = np.round(rng.normal(size=(prompts, responses)), 3)
cost = np.round(rng.normal(size=(prompts, responses)) + 0.8 * reward, 3)
margins = {"mean": 0.3, "share": 0.2, "risky": 0.6, "everyday": 0.25}


def gains(p):
    """Each gain over the even reference, as its margin is put in words."""
    drop = (cost * (1 / responses - p)).sum(axis=1)
    unsafe = ((cost > threshold) * (1 / responses - p)).sum(axis=1)
    inside = lambda name: np.array([one == name for one in category])
    return np.array([drop.mean(), unsafe.mean(), drop[inside("risky")].mean(), drop[inside("everyday")].mean()])


even = np.full((prompts, responses), 1 / responses)
# Gains are linear in p: their matrix by unit steps.
flat = lambda index: np.eye(prompts * responses)[index].reshape(prompts, responses)
matrix = np.array([gains(even + flat(i)) - gains(even) for i in range(prompts * responses)]).T
sums = np.kron(np.eye(prompts), np.ones(responses))
wanted = np.array(list(margins.values()))


def loss(x):
    p = x.reshape(prompts, responses)
    kl = (p * np.log(p * responses)).sum(axis=1)
    return -((reward * p).sum(axis=1) - beta * kl).mean()


def slope(x):
    p = x.reshape(prompts, responses)
    return (-(reward - beta * (np.log(p * responses) + 1)) / prompts).ravel()


start = even.copy()
found = minimize(
    loss, start.ravel(), jac=slope, method="SLSQP", bounds=[(1e-9, 1)] * (prompts * responses),
    constraints=[
        {"type": "eq", "fun": lambda x: sums @ x - 1, "jac": lambda x: sums},
        {"type": "ineq", "fun": lambda x: gains(x.reshape(prompts, responses)) - wanted, "jac": lambda x: matrix},
    ],
    options={"ftol": 1e-15, "maxiter": 2000},
)
p = found.x.reshape(prompts, responses)
assert np.all(gains(p) >= wanted - 1e-7), gains(p) - wanted
GOLDEN.write_text(
    json.dumps(
        {
            "beta": beta, "threshold": threshold, "category": category, "margins": margins,
            "reward": reward.tolist(), "cost": cost.tolist(),
            "gains": dict(zip(margins, gains(p).tolist())),
            "reward_gain": float(((p - even) * reward).sum(axis=1).mean()),
            "kl": float((p * np.log(p * responses)).sum(axis=1).mean()),
            "policy": p.tolist(),
        },
        indent=1,
    )
    + "\n"
)
print(gains(p) - wanted, found.message, found.nit)

"""The dual of one constraint by a bracketed root-find in NumPy and SciPy: the peer of bench/dual.mjs.

    python bench/dual_peer.py scores.jsonl BETA MARGIN REPEATS

Prints one JSON object: seconds to read the file, and of every solve from arrays in memory to λ* and D(λ*),
by the clock and of the processor.
"""

import json
import sys
import time

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp, softmax

file, beta, margin, repeats = sys.argv[1], *map(float, sys.argv[2:4]), int(sys.argv[4])
start = time.perf_counter()
with open(file) as lines:
    rows = [json.loads(line) for line in lines]
prompts = len({row["prompt_id"] for row in rows})
reward = np.array([row["reward"] for row in rows]).reshape(prompts, -1)
safety = np.array([row["safety"][0] for row in rows]).reshape(prompts, -1)
read = time.perf_counter() - start


def solve():
    h = safety - safety.mean() - margin

    def slope(x):
        return float((softmax((reward + x * h) / beta, axis=1) * h).sum(axis=1).mean())

    if slope(0.0) >= 0:
        best = 0.0
    else:
        high = 1.0
        while slope(high) < 0:
            high *= 2
        best = brentq(slope, 0.0, high, xtol=1e-14, rtol=1e-14)
    scores = (reward + best * h) / beta
    dual = beta * float((logsumexp(scores, axis=1) - np.log(scores.shape[1])).mean())
    return best, dual


seconds, processor = [], []
for _ in range(repeats):
    start, used = time.perf_counter(), time.process_time()
    answer = solve()
    seconds.append(time.perf_counter() - start)
    processor.append(time.process_time() - used)
print(json.dumps({"lambda": answer[0], "dual": answer[1], "read": read, "seconds": seconds, "processor": processor}))

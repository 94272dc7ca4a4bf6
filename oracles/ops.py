"""Every op of the graph on small random inputs: outputs and gradients by PyTorch's autograd in double precision.

usage: python oracles/ops.py        writes test/golden/ops.json

A list of {op, attrs, inputs, output, upstream, grads}: tensors are {shape, data}; grads holds one tensor per float input
(null for index and mask inputs), for the loss sum(output * upstream).
"""

import torch
import torch.nn.functional as F
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from common import GOLDEN, rounded, write_json

gen = torch.Generator().manual_seed(7)
CASES = []


def normal(*shape):
    return torch.randn(shape, generator=gen, dtype=torch.float64)


def positive(*shape):
    return normal(*shape).abs() + 0.3


def away_from_zero(*shape):
    x = normal(*shape)
    return x + 0.5 * x.sign()


def tensor(x):
    return {"shape": list(x.shape), "data": rounded(x.detach().flatten().to(torch.int64 if x.dtype == torch.bool else x.dtype), 10)}


def case(op, f, *inputs, **attrs):
    inputs = [x.clone().requires_grad_() if x.is_floating_point() else x for x in inputs]
    output = f(*inputs)
    upstream = normal(*output.shape)
    differentiable = [x for x in inputs if x.requires_grad]
    grads = iter(torch.autograd.grad(output, differentiable, upstream))
    CASES.append(
        {
            "op": op,
            "attrs": attrs,
            "inputs": [tensor(x) for x in inputs],
            "output": tensor(output),
            "upstream": tensor(upstream),
            "grads": [tensor(next(grads)) if x.requires_grad else None for x in inputs],
        }
    )


BINARY = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}
for name, f in BINARY.items():
    for a, b in (((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1, 3), (4, 1)), ((2, 3), ())):
        case(name, f, normal(*a), away_from_zero(*b))

UNARY = {
    "neg": torch.neg,
    "exp": torch.exp,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "softplus": F.softplus,
}
for name, f in UNARY.items():
    case(name, f, 2 * normal(3, 4))
for name, f in {"log": torch.log, "sqrt": torch.sqrt}.items():
    case(name, f, positive(3, 4))
case("minimum", torch.minimum, normal(3, 4), normal(4))
case("where", torch.where, normal(3, 4) > 0, normal(3, 4), normal(4))

for trans_a in (False, True):
    for trans_b in (False, True):

        def product(a, b):
            return (a.mT if trans_a else a) @ (b.mT if trans_b else b)

        for lead_a, lead_b in (((), ()), ((2,), (2,)), ((2, 3), (1, 3)), ((2,), ())):
            a = normal(*lead_a, *((4, 2) if trans_a else (2, 4)))
            b = normal(*lead_b, *((3, 4) if trans_b else (4, 3)))
            case("matmul", product, a, b, transA=trans_a, transB=trans_b)

case("softmax", lambda x: x.softmax(-1), 3 * normal(2, 3, 5))
case("logSoftmax", lambda x: x.log_softmax(-1), 3 * normal(2, 3, 5))
for name, f in {"reduceSum": torch.sum, "reduceMean": torch.mean, "reduceMax": torch.amax}.items():
    for axes, keep in (([-1], False), ([0], True), ([0, 2], False), ([0, 1, 2], False)):
        case(name, lambda x: f(x, dim=axes, keepdim=keep), normal(2, 3, 4), axes=axes, keepDims=keep)

case("reshape", lambda x: x.reshape(4, 6), normal(2, 3, 4), shape=[4, 6])
case("transpose", lambda x: x.permute(2, 0, 1), normal(2, 3, 4), permutation=[2, 0, 1])
for axis in (0, 1, -1):
    shapes = [[2, 3, 2] for _ in range(3)]
    for extra, shape in enumerate(shapes):
        shape[axis] += extra
    case("concat", lambda *xs: torch.cat(xs, axis), *(normal(*s) for s in shapes), axis=axis)
for axis, start, end in ((0, 1, 3), (1, 0, 2), (-1, 2, 5)):
    case("slice", lambda x: x.narrow(axis, start, end - start), normal(3, 4, 5), axis=axis, start=start, end=end)
case("expand", lambda x: x.expand(2, 3, 4), normal(3, 1), shape=[2, 3, 4])
case("gather", lambda x, i: x[i], normal(5, 3), torch.tensor([[4, 0, 4], [2, 4, 0]]))
case("gatherElements", lambda x, i: x.gather(-1, i), normal(2, 3, 5), torch.tensor([[[0, 4], [2, 2], [1, 3]]]).repeat(2, 1, 1))

case("rmsNorm", lambda x, w: F.rms_norm(x, (6,), w, 1e-2), normal(2, 3, 6), normal(6), epsilon=1e-2)
case("layerNorm", lambda x, w, b: F.layer_norm(x, (6,), w, b, 1e-2), normal(2, 3, 6), normal(6), normal(6), epsilon=1e-2)


def rotary(x, cos, sin):
    """x [B, T, H, D]; cos and sin [T, D/2] are doubled as transformers does."""
    both = lambda t: torch.cat([t, t], -1)[None]
    return apply_rotary_pos_emb(x, x, both(cos), both(sin), unsqueeze_dim=2)[0]


angles = torch.arange(3, dtype=torch.float64)[:, None] * torch.tensor([1.0, 0.3], dtype=torch.float64)
case("rotary", rotary, normal(2, 3, 2, 4), angles.cos(), angles.sin())

for heads, kv_heads, t, s in ((2, 2, 4, 4), (4, 2, 3, 5)):
    mask = torch.ones(t, s, dtype=torch.bool).tril(s - t)
    case(
        "attention",
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, scale=0.7, enable_gqa=True),
        normal(2, heads, t, 4),
        normal(2, kv_heads, s, 4),
        normal(2, kv_heads, s, 4),
        mask,
        heads=heads,
        keyValueHeads=kv_heads,
        scale=0.7,
    )

case(
    "tokenLogprob",
    lambda h, w, i: (h @ w.T).log_softmax(-1).gather(1, i[:, None])[:, 0],
    normal(3, 4),
    normal(5, 4),
    torch.tensor([4, 0, 4]),
)
case("erf", torch.erf, 2 * normal(3, 4))

write_json(GOLDEN / "ops.json", CASES)
print(len(CASES), "cases")

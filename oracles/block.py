"""Gradients of a whole tiny model with respect to every parameter, by PyTorch in float32.

usage: python oracles/block.py        after models.py; writes test/golden/block.json and block.safetensors

The loss is the mean negative log-likelihood of `targets` (ids[t + 1]) over all rows, unpadded. Tensors of the safetensors
file are named <model>/<parameter>; a tied head has one gradient, under the embedding's name.
"""

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from common import GOLDEN, random_ids, rounded, write_json

gen = torch.Generator().manual_seed(11)
ROWS = [random_ids(gen, n) for n in (13, 6, 22)]


def loss_of(model):
    terms = []
    for ids in ROWS:
        x = torch.tensor([ids])
        terms.append(-model(x).logits[0, :-1].log_softmax(-1).gather(1, x[0, 1:, None])[:, 0])
    return torch.cat(terms).mean()


losses, gradients = {}, {}
for name in ("llama", "qwen3", "gpt2", "gemma2", "olmo2"):
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / "models" / name, dtype=torch.float32).eval()
    loss = loss_of(model)
    loss.backward()
    losses[name] = rounded(loss.item())
    gradients |= {f"{name}/{k}": p.grad for k, p in model.named_parameters()}
save_file(gradients, GOLDEN / "block.safetensors")
write_json(GOLDEN / "block.json", {"rows": ROWS, "loss": losses})
print(losses)

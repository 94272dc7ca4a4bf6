"""PEFT adapters on golden models, and what PEFT computes with them.

usage: python oracles/lora.py                         after models.py; writes test/golden/adapters/<name>/ with cases.json
       python oracles/lora.py check MODEL ADAPTER     loads an adapter folder (ours, say) and prints merged logits as JSON

cases.json: base (folder under models/), and per sequence ids, logprobs of the next tokens with the adapter, and the last
position's logits with the adapter beside the weights (lastLogits) and merged into them (mergedLastLogits).
"""

import json
import sys

import torch
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM

from common import GOLDEN, random_ids, rounded, write_json
from models import next_logprobs
from training import start_adapter

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
lora = lambda **kw: LoraConfig(r=4, lora_alpha=8, lora_dropout=0.05, task_type="CAUSAL_LM", **kw)
ADAPTERS = {
    "llama-all": ("llama", lora(target_modules=ALL)),
    "gpt2-c_attn": ("gpt2", lora(target_modules=["c_attn"], fan_in_fan_out=True)),
}


def load(model, adapter):
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), adapter).eval()


def sequences():
    gen = torch.Generator().manual_seed(13)
    return [random_ids(gen, n) for n in (19, 8)]


def last(model, ids):
    return model(torch.tensor([ids])).logits[0, -1]


def write(name, base, config):
    folder, model = GOLDEN / "adapters" / name, GOLDEN / "models" / base
    start_adapter(folder, AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), config, base, 0.1)
    peft = load(model, folder)
    cases = []
    for ids in sequences():
        merged = load(model, folder).merge_and_unload()
        with peft.disable_adapter():
            assert (last(peft, ids) - last(merged, ids)).abs().max() > 0.1
        assert torch.allclose(last(peft, ids), last(merged, ids), atol=1e-5)
        logprobs = rounded(next_logprobs(peft, ids))
        both = dict(lastLogits=rounded(last(peft, ids)), mergedLastLogits=rounded(last(merged, ids)))
        cases.append({"ids": ids, "logprobs": logprobs, **both})
    write_json(folder / "cases.json", {"base": base, "sequences": cases})
    print(name, rounded(cases[0]["lastLogits"][:3], 5))


def check(model, adapter):
    """Merged logits at the last position of the golden sequences, and how far they lie from the unmerged ones."""
    peft, merged = load(model, adapter), load(model, adapter).merge_and_unload()
    for ids in sequences():
        a, b = last(peft, ids), last(merged, ids)
        print(json.dumps({"ids": ids, "mergedLastLogits": rounded(b), "difference": (a - b).abs().max().item()}))


if __name__ == "__main__":
    with torch.no_grad():
        if sys.argv[1:2] == ["check"]:
            check(*sys.argv[2:])
        else:
            for name, (base, config) in ADAPTERS.items():
                write(name, base, config)

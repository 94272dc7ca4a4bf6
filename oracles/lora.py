"""PEFT adapters on golden models, and what PEFT computes with them.

usage: python oracles/lora.py                         after models.py; writes test/golden/adapters/<name>/ with cases.json
       python oracles/lora.py check MODEL ADAPTER     loads an adapter folder (ours, say) and prints merged logits as JSON

cases.json: base (folder under models/), and per sequence ids, logprobs of the next tokens with the adapter, and the last
position's logits with the adapter beside the weights (lastLogits) and merged into them (mergedLastLogits).
dpo.json, dpo.safetensors of FAMILIES: two pairs, DPO's loss on them, and its gradients under the adapter's names.
"""

import json
import sys

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from common import GOLDEN, random_ids, rounded, write_json
from models import next_logprobs
from training import gradients, save_adapter, start_adapter

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
lora = lambda **kw: LoraConfig(r=4, lora_alpha=8, lora_dropout=0.05, task_type="CAUSAL_LM", **kw)
ADAPTERS = {
    "llama-all": ("llama", lora(target_modules=ALL)),
    "gpt2-c_attn": ("gpt2", lora(target_modules=["c_attn"], fan_in_fan_out=True)),
}
ADAPTERS["gemma3-images-q"] = ("gemma3-images", lora(target_modules=[f"language_model.layers.{i}.self_attn.q_proj" for i in (0, 1)]))
# On a model whose head is tied to its embedding: PEFT trains a copy of one of the two, the other stays the base's.
for module in ("embed_tokens", "lm_head"):
    ADAPTERS[f"llama-{module}"] = ("llama", lora(target_modules=["q_proj"], modules_to_save=[module]))
FAMILIES = ("gemma2", "gemma3", "phi3", "olmo2", "smollm3", "granite")
ADAPTERS |= {f"{name}-all": (name, lora(target_modules="all-linear")) for name in FAMILIES}


def load(model, adapter):
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), adapter).eval()


def sequences():
    gen = torch.Generator().manual_seed(13)
    return [random_ids(gen, n) for n in (19, 8)]


def last(model, ids):
    return model(torch.tensor([ids])).logits[0, -1]


def write(name, base, config):
    folder, model = GOLDEN / "adapters" / name, GOLDEN / "models" / base
    start = start_adapter(folder, AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32), config, base, 0.1)
    if config.modules_to_save:
        gen = torch.Generator().manual_seed(19)
        for whole in (p for n, p in start.named_parameters() if "modules_to_save" in n):
            whole.data.add_(torch.randn(whole.shape, generator=gen) * 0.1)
        save_adapter(start, folder, base)
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


def write_dpo(name):
    """Loss and gradients of DPO (beta 0.1, the reference being the base) on two pairs, in this file's own words."""
    folder = GOLDEN / "adapters" / f"{name}-all"
    torch.manual_seed(0)
    peft = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(GOLDEN / "models" / name, dtype=torch.float32), folder, is_trainable=True
    ).eval()
    gen = torch.Generator().manual_seed(17)
    pairs = [dict(prompt=random_ids(gen, p), chosen=random_ids(gen, c), rejected=random_ids(gen, r)) for p, c, r in ((6, 9, 4), (3, 5, 14))]
    logprob = lambda pair, side: next_logprobs(peft, pair["prompt"] + pair[side])[len(pair["prompt"]) - 1 :].sum()
    losses = []
    for pair in pairs:
        with torch.no_grad(), peft.disable_adapter():
            reference = logprob(pair, "chosen") - logprob(pair, "rejected")
        losses.append(-F.logsigmoid(0.1 * (logprob(pair, "chosen") - logprob(pair, "rejected") - reference)))
    loss = torch.stack(losses).mean()
    loss.backward()
    save_file(gradients(peft), folder / "dpo.safetensors")
    write_json(folder / "dpo.json", {"beta": 0.1, "pairs": pairs, "loss": rounded(loss.item())})
    print(name, rounded(loss.item(), 6))


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
            with torch.enable_grad():
                for name in FAMILIES:
                    write_dpo(name)

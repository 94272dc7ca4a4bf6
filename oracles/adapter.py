"""Goldens for adapters and safetensors, and the check that PEFT loads what we write.

usage: python oracles/adapter.py                writes test/golden/peft/ (causal), peft-score/ and dtypes.safetensors
       python oracles/adapter.py check FOLDER   loads the adapter in FOLDER onto the golden's base and compares
"""

import json
import os
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

torch.set_num_threads(1)
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test", "golden")


def base(cls):
    torch.manual_seed(0)
    return cls(
        LlamaConfig(
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            vocab_size=32,
            num_labels=1,
            pad_token_id=0,
        )
    )


def adapted(cls, task):
    model = get_peft_model(
        base(cls), LoraConfig(r=2, lora_alpha=6, lora_dropout=0.1, target_modules=["q_proj", "v_proj"], task_type=task)
    )
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return model


def write():
    for folder, cls, task in (
        ("peft", LlamaForCausalLM, "CAUSAL_LM"),
        ("peft-score", LlamaForSequenceClassification, "SEQ_CLS"),
    ):
        adapted(cls, task).save_pretrained(os.path.join(HERE, folder))
        os.remove(os.path.join(HERE, folder, "README.md"))
    values = torch.tensor([0.0, -0.0, 1.5, -2.0, 6e-8, 65504.0, float("inf"), -3.0517578125e-05])
    tensors = {
        "f32": values,
        "f64": values.double(),
        "f16": values.half(),
        "bf16": values.bfloat16(),
        "i64": torch.tensor([[1, -2], [3, 2**40]]),
        "i32": torch.tensor([7, -8], dtype=torch.int32),
        "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
    }
    save_file(tensors, os.path.join(HERE, "dtypes.safetensors"))
    as_text = lambda x: {float("inf"): "Infinity"}.get(x, x)
    read = {name: [as_text(x) for x in t.float().flatten().tolist()] for name, t in tensors.items()}
    with open(os.path.join(HERE, "dtypes.json"), "w") as f:
        json.dump(read, f)


def check(folder):
    """The folder must be a rewrite of the golden that its task names."""
    task = json.load(open(os.path.join(folder, "adapter_config.json")))["task_type"]
    cls, name = (LlamaForCausalLM, "peft") if task == "CAUSAL_LM" else (LlamaForSequenceClassification, "peft-score")
    ids = torch.arange(1, 9).unsqueeze(0)
    ours = PeftModel.from_pretrained(base(cls), folder).eval()
    theirs = PeftModel.from_pretrained(base(cls), os.path.join(HERE, name)).eval()
    plain = base(cls).eval()(ids).logits
    a, b = ours(ids).logits, theirs(ids).logits
    merged = ours.merge_and_unload()(ids).logits
    assert torch.equal(a, b) and torch.allclose(a, merged, atol=1e-6) and not torch.allclose(a, plain, atol=1e-5)
    mine = load_file(os.path.join(folder, "adapter_model.safetensors"))
    golden = load_file(os.path.join(HERE, name, "adapter_model.safetensors"))
    assert mine.keys() == golden.keys() and all(torch.equal(mine[k], golden[k]) for k in golden)
    print(f"PEFT loads {folder}: {task}, {len(mine)} tensors, logits as the golden's")


if __name__ == "__main__":
    check(sys.argv[2]) if sys.argv[1:2] == ["check"] else write()

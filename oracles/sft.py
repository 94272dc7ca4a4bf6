"""Supervised fine-tuning on completions by TRL's SFTTrainer on the golden `llama`.

usage: python oracles/sft.py        after models.py and dpo.py; writes test/golden/train/sft*.json and final adapters

Rows: prompt and chosen answer of pairs.json. The loss is the mean over the completion tokens of the whole step, also where
a step has several batches of unequal token counts.
"""

import torch
from transformers import AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer

from common import GOLDEN
from training import PAIRS, TRAIN, load_into, lora, record, save_adapter, train, trainer

RUNS = {
    "sft": {},
    "sft-accumulated": dict(per_device_train_batch_size=2, gradient_accumulation_steps=2),
}

for name, options in RUNS.items():
    rows = [{"prompt": p["prompt"], "completion": p["chosen"]} for p in PAIRS]
    base = AutoModelForCausalLM.from_pretrained(GOLDEN / "models" / "llama", dtype=torch.float32)
    made = trainer(SFTTrainer, SFTConfig, base, rows, options, peft_config=lora())
    load_into(made.model, TRAIN / "lora")
    steps = train(made)
    save_adapter(made.model, TRAIN / name, "llama")
    record(name, dict(options=options, adapter="lora", final=name, steps=steps))

"""What the training oracles share: short pairs, LoRA starts, TRL's trainers run in the given order, and their records."""

import json
import logging
import os
import random
import shutil
import tempfile
import warnings

warnings.filterwarnings("ignore", category=FutureWarning)
warnings.filterwarnings("ignore", message="Could not find a config file")
os.environ["HF_HUB_OFFLINE"] = "1"
import datasets
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file
from torch.utils.data import SequentialSampler
from transformers import AutoTokenizer, PrinterCallback

from common import GOLDEN, rounded, write_json

datasets.disable_progress_bars()
logging.getLogger("transformers").setLevel(logging.ERROR)

TRAIN = GOLDEN / "train"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj"]
COMMON = dict(
    per_device_train_batch_size=4, num_train_epochs=1, learning_rate=1e-3, lr_scheduler_type="constant", max_grad_norm=1.0,
    max_length=64, seed=0, data_seed=0, logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, bf16=False,
    fp16=False, gradient_checkpointing=False, disable_tqdm=True,
)  # fmt: skip


def make_pairs(n=24):
    """Short made-up rows of unequal length; the last chosen answer of all is longer than max_length."""
    rng = random.Random(3)
    words = "the bread water salt key door house sea ship window friend doctor story red old safe far mix bake wait open".split()
    say = lambda lo, hi: " ".join(rng.choice(words) for _ in range(rng.randint(lo, hi)))
    rows = [{"prompt": f"{say(2, 6)}?", "chosen": f" {say(1, 8)}.", "rejected": f" {say(1, 8)}!"} for _ in range(n)]
    rows[-1]["chosen"] = " " + say(24, 24) + "."
    return rows


PAIRS = make_pairs()


def lora(task="CAUSAL_LM", **more):
    return LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=TARGETS, task_type=task, **more)


def save_adapter(model, folder, base):
    """The adapter as PEFT saves it, without the machine's path to its base."""
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, selected_adapters=["default"])
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text())
    config["base_model_name_or_path"] = base
    config["target_modules"] = sorted(config["target_modules"])
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def start_adapter(folder, model, config, base, std):
    """A fresh adapter with PEFT's A and normal B of deviation `std` (0: PEFT's own start)."""
    torch.manual_seed(5)
    peft = get_peft_model(model, config)
    for name, p in peft.named_parameters():
        if "lora_B" in name and std > 0:
            torch.nn.init.normal_(p, std=std)
    save_adapter(peft, folder, base)
    return peft


def load_into(peft, folder):
    set_peft_model_state_dict(peft, load_file(folder / "adapter_model.safetensors"))


def trainer(cls, config_cls, model, rows, options, **more):
    """A TRL trainer that takes the rows in order, every epoch."""
    args = config_cls(output_dir=tempfile.mkdtemp(), **{**COMMON, **options})
    tok = AutoTokenizer.from_pretrained(GOLDEN / "models" / "llama")
    made = cls(model=model, args=args, train_dataset=datasets.Dataset.from_list(rows), processing_class=tok, **more)
    made.remove_callback(PrinterCallback)
    made._get_train_sampler = lambda *_, **__: SequentialSampler(made.train_dataset)
    return made


SKIP = {"entropy", "mean_token_accuracy", "num_tokens", "epoch", "logits/chosen", "logits/rejected"}


def train(made):
    """Runs and gives one record a step."""
    made.train()
    return [{k: rounded(v) for k, v in log.items() if k not in SKIP} for log in made.state.log_history if "loss" in log]


def gradients(peft):
    """Gradients under the names of adapter_model.safetensors."""
    values = {}
    for name, p in peft.named_parameters():
        if p.requires_grad:
            values[name.replace(".default", "").replace("modules_to_save.", "")] = p.grad
    assert values.keys() == get_peft_model_state_dict(peft).keys()
    return values


def record(name, value):
    write_json(TRAIN / f"{name}.json", value)
    print(name, [rounded(s["loss"], 6) for s in value.get("steps", [])] or rounded(value["loss"], 6))

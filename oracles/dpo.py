"""DPO by TRL's DPOTrainer on the golden `llama`, and soft labels.

usage: python oracles/dpo.py        after models.py; writes test/golden/train/

pairs.json: the rows, in order, with TRL's ids. lora-zero/, lora/: initial adapters (PEFT's start; B normal). dpo-*.json:
{options, pairs, reference, adapter, final, steps} with one record a step as TRL logs it; the last adapter in `final`/ where kept.
soft-labels.json, .safetensors: loss and gradients of one batch for soft labels, in this file's own words.
"""

import torch
import torch.nn.functional as F
from peft import PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from trl import DPOConfig, DPOTrainer

from common import GOLDEN, rounded, write_json
from models import next_logprobs
from training import PAIRS, TRAIN, gradients, load_into, lora, record, save_adapter, start_adapter, train, trainer

LLAMA = GOLDEN / "models" / "llama"
BETA = 0.1
base = lambda: AutoModelForCausalLM.from_pretrained(LLAMA, dtype=torch.float32)
START = "lora-zero"

# TRL's `sigmoid` takes no label smoothing; conservative DPO, (1 - e) L(+) + e L(-), is this sum of two of its losses:
# robust(0.1) = (0.9 L(+) - 0.1 L(-)) / 0.8, so 1.8 sigmoid - 0.8 robust = 0.9 L(+) + 0.1 L(-).
SMOOTHED = dict(loss_type=["sigmoid", "robust"], loss_weights=[1.8, -0.8], label_smoothing=0.1)
RUNS = {
    "hard": {},
    "label-smoothing": SMOOTHED,
    "robust": dict(loss_type=["robust"], label_smoothing=0.1),
    "ipo": dict(loss_type=["ipo"]),
    "exo_pair": dict(loss_type=["exo_pair"], label_smoothing=0.1),
    "hinge": dict(loss_type=["hinge"]),
    "cosine": dict(
        gradient_accumulation_steps=2, num_train_epochs=2, lr_scheduler_type="cosine", warmup_steps=2, weight_decay=0.05
    ),
    "linear": dict(lr_scheduler_type="linear", warmup_steps=1, max_grad_norm=0.05),
    # 18 rows: the last batch has 2 of 4 pairs, the last step 1 of 2 batches.
    "ragged": dict(gradient_accumulation_steps=2),
    "started": {},
    "continued": {},
}
FINAL = ("hard", "ipo", "cosine", "ragged", "started", "continued")  # runs whose last adapter is kept


def run(name, options):
    rows = PAIRS[:18] if name == "ragged" else PAIRS
    adapter = "lora" if name in ("started", "continued") else START
    if name == "continued":
        # A PeftModel given to TRL: the reference is the model as it comes, its adapter included.
        model, more = PeftModel.from_pretrained(base(), TRAIN / adapter, is_trainable=True), {}
    else:
        model, more = base(), {"peft_config": lora()}
    made = trainer(DPOTrainer, DPOConfig, model, rows, {"beta": BETA, **options}, **more)
    load_into(made.model, TRAIN / adapter)
    steps = train(made)
    final = f"dpo-{name}" if name in FINAL else None
    if final:
        save_adapter(made.model, TRAIN / final, "llama")
    reference = "base with initial adapter" if name == "continued" else "base"
    about = dict(options=options, pairs=len(rows), reference=reference, adapter=adapter, final=final)
    record(f"dpo-{name}", {**about, "steps": steps})
    return made


def full(ids):
    """All weights trained; weight decay as the Trainer applies it: not to norms (nor to biases)."""
    options = dict(beta=BETA, weight_decay=0.05, max_steps=5)
    made = trainer(DPOTrainer, DPOConfig, base(), PAIRS, options)
    steps = train(made)
    with torch.no_grad():
        model = made.model.eval()
        after = [rounded([model_logprob(model, p, p[side]).item() for side in ("chosen_ids", "rejected_ids")]) for p in ids]
    norms = {name: rounded(p.norm().item()) for name, p in model.named_parameters()}
    record("dpo-full", {"options": options, "steps": steps, "logprobsAfter": after, "weightNormsAfter": norms})


def model_logprob(model, pair, completion):
    ids = (pair["prompt_ids"] + completion)[:64]
    return next_logprobs(model, ids)[len(pair["prompt_ids"]) - 1 :].sum()


def soft_labels(ids, first_loss):
    """One batch at the adapter `lora`: mean of p L(+) + (1 - p) L(-), the reference being the base."""
    peft = get_peft_model(base(), lora())
    load_into(peft, TRAIN / "lora")
    batch = ids[:4]

    def loss_of(labels):
        logits = []
        for pair in batch:
            lp = [model_logprob(peft, pair, pair[side]) for side in ("chosen_ids", "rejected_ids")]
            with torch.no_grad(), peft.disable_adapter():
                ref = [model_logprob(peft, pair, pair[side]) for side in ("chosen_ids", "rejected_ids")]
            logits.append(BETA * ((lp[0] - ref[0]) - (lp[1] - ref[1])))
        z, p = torch.stack(logits), torch.tensor(labels)
        return (-p * F.logsigmoid(z) - (1 - p) * F.logsigmoid(-z)).mean(), z

    hard = loss_of([1.0] * 4)[0].item()
    assert abs(hard - first_loss) < 1e-6, (hard, first_loss)
    labels = [0.9, 0.25, 0.5, 1.0]
    loss, z = loss_of(labels)
    loss.backward()
    save_file(gradients(peft), TRAIN / "soft-labels.safetensors")
    record("soft-labels", dict(beta=BETA, adapter="lora", pairs=4, labels=labels, logits=rounded(z), loss=rounded(loss.item())))


if __name__ == "__main__":
    TRAIN.mkdir(parents=True, exist_ok=True)
    for folder, std in (("lora-zero", 0), ("lora", 0.1)):
        start_adapter(TRAIN / folder, base(), lora(), "llama", std)
    made = {name: run(name, options) for name, options in RUNS.items()}
    keep = ("prompt", "chosen", "rejected", "prompt_ids", "chosen_ids", "rejected_ids")
    ids = [{k: row[k] for k in keep} for row in made["hard"].train_dataset]
    write_json(TRAIN / "pairs.json", ids)
    full(ids)
    soft_labels(ids, made["started"].state.log_history[0]["loss"])

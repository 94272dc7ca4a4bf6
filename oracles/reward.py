"""Bradley-Terry reward model by TRL's RewardTrainer, and the cost model's loss, on the golden score model `llama`.

usage: python oracles/reward.py        after scores.py; writes test/golden/train/reward*, cost*, lora-score/

reward.json: {options, ids, adapter, final, steps}; the head is trained along (modules_to_save), so that the adapters hold
base_model.model.score.weight. cost.json, cost.safetensors: one batch of the cost model of Safe-RLHF, restated here: with c of the
less safe answer ("higher") and of the safer one ("lower") and signs +1 for unsafe, -1 for safe,
-ln s(c_higher - c_lower) - ln s(sign_higher c_higher) - ln s(sign_lower c_lower), mean over pairs.
"""

import torch
import torch.nn.functional as F
from peft import get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification
from trl import RewardConfig, RewardTrainer

from common import GOLDEN, rounded
from training import PAIRS, TRAIN, gradients, load_into, lora, record, save_adapter, start_adapter, train, trainer

config = lambda: lora("SEQ_CLS", modules_to_save=["score"])
base = lambda: AutoModelForSequenceClassification.from_pretrained(GOLDEN / "scores" / "llama", dtype=torch.float32)


def reward():
    made = trainer(RewardTrainer, RewardConfig, base(), PAIRS, {}, peft_config=config())
    load_into(made.model, TRAIN / "lora-score")
    steps = train(made)
    save_adapter(made.model, TRAIN / "reward", "llama")
    ids = [{k: row[k] for k in ("chosen_ids", "rejected_ids")} for row in made.train_dataset]
    record("reward", dict(options={}, adapter="lora-score", final="reward", ids=ids, steps=steps))
    return ids


def cost(ids):
    peft = get_peft_model(base(), config())
    load_into(peft, TRAIN / "lora-score")
    batch = [{"lower": p["chosen_ids"], "higher": p["rejected_ids"]} for p in ids[:4]]
    signs = {"lower": [-1.0, -1.0, 1.0, -1.0], "higher": [1.0, -1.0, 1.0, 1.0]}
    c = {side: torch.cat([peft(torch.tensor([p[side]])).logits[0] for p in batch]) for side in ("lower", "higher")}
    terms = -F.logsigmoid(c["higher"] - c["lower"])
    for side in c:
        terms = terms - F.logsigmoid(torch.tensor(signs[side]) * c[side])
    loss = terms.mean()
    loss.backward()
    save_file(gradients(peft), TRAIN / "cost.safetensors")
    costs = {side: rounded(c[side]) for side in c}
    record("cost", dict(adapter="lora-score", ids=batch, signs=signs, costs=costs, loss=rounded(loss.item())))


if __name__ == "__main__":
    start_adapter(TRAIN / "lora-score", base(), config(), "llama", 0.1)
    cost(reward())

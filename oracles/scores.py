"""Tiny score models and their scores.

usage: python oracles/scores.py        writes test/golden/scores/<name>/ with cases.json (rows {ids, score}) in each, and
                                       test/golden/score-labels/qwen2 (rows {ids, logits}), whose head has three labels

llama, qwen2, gpt2, gemma3, phi3: transformers' ...ForSequenceClassification with one label; the score is read at the last token.
beaver-*: the layout of Safe-RLHF's published reward and cost models, restated here from their description: a backbone
under `model.`, a linear `score_head` (bias or none) read at the last token, running statistics in `normalizer.mean`,
`.var`, `.count` and in the config, used only with do_normalize: a reward ("affine") becomes (s - mean) / (std + 1e-8),
a cost ("scale") s / (std + 1e-8).
"""

import json
import shutil

import torch
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification, Gemma3TextConfig, Gemma3TextForSequenceClassification
from transformers import GPT2Config, GPT2ForSequenceClassification, LlamaConfig, Phi3Config, Phi3ForSequenceClassification
from transformers import LlamaForSequenceClassification, LlamaModel, Qwen2Config, Qwen2ForSequenceClassification

from common import EOS, GOLDEN, PAD, VOCAB, random_ids, randomize, rounded, tokenizer, write_json
from models import GEMMA, GEMMA3_ROPE, KINDS, PARTIAL, SIZES, SMALL, UNTIED

ONE = dict(num_labels=1)
CLASSIFIERS = {
    "llama": lambda: LlamaForSequenceClassification(LlamaConfig(**{**SIZES, **UNTIED}, **ONE, head_dim=8)),
    "qwen2": lambda: Qwen2ForSequenceClassification(Qwen2Config(**{**SIZES, **SMALL, **UNTIED}, **ONE)),
    "gpt2": lambda: GPT2ForSequenceClassification(
        GPT2Config(
            vocab_size=VOCAB, n_positions=96, n_embd=32, n_layer=1, n_head=4, n_inner=48,
            pad_token_id=PAD, eos_token_id=EOS, bos_token_id=EOS, **ONE,
        )
    ),
    "gemma3": lambda: Gemma3TextForSequenceClassification(
        Gemma3TextConfig(**{**GEMMA, "num_hidden_layers": 2}, **ONE, rope_parameters=GEMMA3_ROPE, layer_types=KINDS[:2])
    ),
    "phi3": lambda: Phi3ForSequenceClassification(
        Phi3Config(**{**SIZES, **SMALL, **UNTIED}, **ONE, rope_parameters=PARTIAL)
    ),
}  # fmt: skip
LABELS = {0: "safe", 1: "borderline", 2: "unsafe"}
STATS = dict(mean=[-3.25], var=[6.5])
BEAVERS = {
    # The statistics are there but not asked for.
    "beaver-reward": dict(
        architectures=["LlamaForScore"], score_type="reward", score_bias=True, do_normalize=False,
        normalizer_type="ExponentialMovingAverage", momentum=0.9, **STATS,
    ),
    "beaver-reward-normalized": dict(
        architectures=["LlamaForScore"], score_type="reward", score_bias=True, do_normalize=True,
        normalizer_type="RunningMeanStd", **STATS,
    ),
    # As first published: an older class name, `bias` for score_bias.
    "beaver-cost": dict(
        architectures=["LlamaModelForScore"], score_type="cost", bias=False, do_normalize=True,
        normalizer_type="ExponentialMovingAverage", momentum=0.9, **STATS,
    ),
}  # fmt: skip


class Beaver(torch.nn.Module):
    def __init__(self, score):
        super().__init__()
        self.score = score
        self.model = LlamaModel(LlamaConfig(**{**SIZES, **SMALL, **UNTIED}, head_dim=8))
        self.score_head = torch.nn.Linear(32, 1, bias=score.get("score_bias", score.get("bias")))
        self.normalizer = torch.nn.Module()
        self.normalizer.register_buffer("mean", torch.tensor(score["mean"]))
        self.normalizer.register_buffer("var", torch.tensor(score["var"]))
        self.normalizer.register_buffer("count", torch.tensor([640]))

    def forward(self, ids):
        s = self.score_head(self.model(ids).last_hidden_state[:, -1])
        if not self.score["do_normalize"]:
            return s
        centre = self.normalizer.mean if self.score["score_type"] == "reward" else 0
        return (s - centre) / (self.normalizer.var.sqrt() + 1e-8)

    def save(self, folder):
        folder.mkdir(parents=True)
        config = {**self.model.config.to_diff_dict(), **self.score, "score_dim": 1}
        (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        save_file(self.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})


def sequences(seed):
    gen = torch.Generator().manual_seed(seed)
    return [random_ids(gen, n - 1) + [EOS] for n in (29, 6, 17)] + [random_ids(gen, 11)]


def write(seed, folder, model, reload):
    shutil.rmtree(folder, ignore_errors=True)
    randomize(model, seed)
    model.save(folder) if isinstance(model, Beaver) else model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    score = reload(folder)
    cases = [{"ids": ids, **values(score(torch.tensor([ids]))[0])} for ids in sequences(seed)]
    write_json(folder / "cases.json", cases)
    print(folder.name, rounded([list(c.values())[1] for c in cases], 5))


def values(logits):
    return {"score": rounded(logits.item())} if len(logits) == 1 else {"logits": rounded(logits)}


def classifier(folder):
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float64).eval()
    return lambda ids: model(ids).logits


if __name__ == "__main__":
    with torch.no_grad():
        for seed, (name, build) in enumerate(CLASSIFIERS.items(), 21):
            write(seed, GOLDEN / "scores" / name, build(), classifier)
        for seed, (name, score) in enumerate(BEAVERS.items(), 31):
            model = Beaver(score).eval()
            write(seed, GOLDEN / "scores" / name, model, lambda _: model.double())
        labelled = Qwen2Config(**{**SIZES, **SMALL, **UNTIED}, id2label=LABELS, label2id={n: i for i, n in LABELS.items()})
        write(41, GOLDEN / "score-labels" / "qwen2", Qwen2ForSequenceClassification(labelled), classifier)

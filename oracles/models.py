"""Tiny causal language models of every supported family, and what transformers says they compute.

usage: python oracles/models.py [NAME ...]      writes test/golden/models/<name>/ with cases.json in each (all by default)

cases.json: sequences[i].ids and .logprobs (of ids[t + 1] given ids[..t]); lastLogits of the first sequence; greedy[i].prompt
and .continuation (at most 24 tokens, the end token included where it came); rows[i].prompt, .response, .logprob.
Log-probabilities are computed in double precision from the stored weights (norms and rotary angles stay float32 there).
"""

import json
import shutil
import sys

import torch
from transformers import AutoModelForCausalLM, Gemma2Config, Gemma2ForCausalLM, Gemma3Config, Gemma3ForCausalLM
from transformers import Gemma3ForConditionalGeneration, Gemma3TextConfig
from transformers import GPT2Config, GPT2LMHeadModel, GraniteConfig, GraniteForCausalLM, LlamaConfig, LlamaForCausalLM
from transformers import MistralConfig, MistralForCausalLM, Olmo2Config, Olmo2ForCausalLM, Phi3Config, Phi3ForCausalLM
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM, SmolLM3Config, SmolLM3ForCausalLM

from common import EOS, GOLDEN, PAD, VOCAB, random_ids, randomize, rounded, tokenizer, write_json

SIZES = dict(
    vocab_size=VOCAB,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    pad_token_id=PAD,
    eos_token_id=EOS,
    bos_token_id=None,
    tie_word_embeddings=True,
)
SMALL = dict(num_hidden_layers=1)  # where one layer shows all there is to see, for the repository's sake
UNTIED = dict(tie_word_embeddings=False)
# With theta 50 and a window of 64 the four frequencies fall one above, two between and one below Llama 3's bounds.
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=50.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)
LINEAR = dict(rope_type="linear", rope_theta=10000.0, factor=4.0)
GEMMA = {**SIZES, "num_hidden_layers": 3, "head_dim": 16, "query_pre_attn_scalar": 24, "sliding_window": 8}
KINDS = ["sliding_attention", "full_attention", "sliding_attention"]
GEMMA3_ROPE = {
    "sliding_attention": dict(rope_type="default", rope_theta=50.0),
    "full_attention": dict(rope_type="linear", rope_theta=500.0, factor=4.0),
}
PARTIAL = dict(rope_type="default", rope_theta=50.0, partial_rotary_factor=0.75)
LONGROPE = dict(rope_type="longrope", short_factor=[1.0, 1.5, 2.5], long_factor=[3.0, 4.0, 5.0])
THETA = dict(rope_type="default", rope_theta=50.0)


def llama(**changes):
    return LlamaForCausalLM(LlamaConfig(**{**SIZES, "head_dim": 8, "rms_norm_eps": 1e-5, **changes}))


def gpt2():
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCAB, n_positions=96, n_embd=32, n_layer=2, n_head=4, n_inner=48,
            pad_token_id=PAD, eos_token_id=EOS, bos_token_id=EOS,
        )
    )  # fmt: skip


def mistral(window):
    return MistralForCausalLM(MistralConfig(**{**SIZES, **SMALL, **UNTIED}, head_dim=8, sliding_window=window))


MODELS = {
    "llama": lambda: llama(),
    "llama-untied": lambda: llama(**SMALL, **UNTIED),
    "llama3-rope": lambda: llama(**SMALL, rope_parameters=LLAMA3),
    "llama3-rope-v4": lambda: llama(**SMALL, rope_parameters=LLAMA3),
    "llama-linear-rope": lambda: llama(**SMALL, rope_parameters=LINEAR),
    "llama-bf16": lambda: llama(),
    "llama-f16": lambda: llama(**SMALL, **UNTIED),
    "llama-sharded": lambda: llama(**SMALL, **UNTIED),
    "mistral": lambda: mistral(None),
    "mistral-window": lambda: mistral(4096),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**{**SIZES, **SMALL, **UNTIED})),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**{**SIZES, **SMALL}, head_dim=16)),
    "gpt2": gpt2,
    "mistral-short-window": lambda: mistral(8),
    # A window of 8 in one layer or two of three; GEMMA's positions are many enough that far ones count.
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**GEMMA, attn_logit_softcapping=2.0, final_logit_softcapping=3.0)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**GEMMA, rope_parameters=GEMMA3_ROPE, layer_types=KINDS)),
    "phi3": lambda: Phi3ForCausalLM(Phi3Config(**{**SIZES, **UNTIED}, sliding_window=8, rope_parameters=PARTIAL)),
    "phi3-longrope": lambda: Phi3ForCausalLM(
        Phi3Config(**{**SIZES, **SMALL}, original_max_position_embeddings=64, rope_parameters={**PARTIAL, **LONGROPE})
    ),
    "olmo2": lambda: Olmo2ForCausalLM(Olmo2Config(**{**SIZES, **UNTIED})),
    "smollm3": lambda: SmolLM3ForCausalLM(SmolLM3Config(**SIZES, no_rope_layers=[1, 0], rope_parameters=THETA)),
    "granite": lambda: GraniteForCausalLM(
        GraniteConfig(
            **SIZES, embedding_multiplier=3.0, attention_multiplier=0.2, residual_multiplier=0.4, logits_scaling=2.5
        )
    ),
    "qwen2-mixed-window": lambda: Qwen2ForCausalLM(
        Qwen2Config(**SIZES, use_sliding_window=True, sliding_window=8, max_window_layers=1)
    ),
    "gemma3-images": lambda: Gemma3ForConditionalGeneration(
        Gemma3Config(
            text_config={**GEMMA, "num_hidden_layers": 2, "rope_parameters": GEMMA3_ROPE, "layer_types": KINDS[:2]},
            vision_config=dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=8, patch_size=4),
            mm_tokens_per_image=4, image_token_index=95, boi_token_index=94, eoi_token_index=93, eos_token_id=EOS, pad_token_id=PAD,
        )
    ),
}
DTYPES = {"llama-bf16": torch.bfloat16, "llama-f16": torch.float16}


def as_before_transformers_5(folder):
    """Rewrites config.json with rope_theta and rope_scaling as older transformers wrote them."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = rope
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.45.0"
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def save(name, model, folder):
    shutil.rmtree(folder, ignore_errors=True)
    shard = {"max_shard_size": "32KB"} if name == "llama-sharded" else {}
    model.to(DTYPES.get(name, torch.float32)).save_pretrained(folder, **shard)
    tokenizer().save_pretrained(folder)
    if name.endswith("-v4"):
        as_before_transformers_5(folder)


def next_logprobs(model, ids):
    """Log-probability of every token after the first, double precision."""
    x = torch.tensor([ids])
    return model(x).logits[0, :-1].log_softmax(-1).gather(1, x[0, 1:, None])[:, 0]


def greedy(model, prompt):
    """generate's own continuation; refuses a prompt where rounding could change the choice."""
    x = torch.tensor([prompt])
    out = model.generate(
        x, attention_mask=torch.ones_like(x), do_sample=False, max_new_tokens=24, output_scores=True, return_dict_in_generate=True
    )
    gap = min((s[0].topk(2).values[0] - s[0].topk(2).values[1]).item() for s in out.scores)
    return out.sequences[0, len(prompt) :].tolist(), gap


def cases(folder, seed):
    single = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    double = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    gen = torch.Generator().manual_seed(seed)
    sequences = [random_ids(gen, n) for n in (41, 7, 23)]
    prompts, continuations = [], []
    for n in (1, 5, 12, 19, 33):
        gap = 0
        while gap < 1e-3:
            prompt = random_ids(gen, n)
            continuation, gap = greedy(single, prompt)
        prompts.append(prompt)
        continuations.append(continuation)
    rows = []
    for p, r in ((3, 9), (17, 4), (8, 1), (1, 21)):
        prompt, response = random_ids(gen, p), [*random_ids(gen, r - 1), EOS]
        lp = next_logprobs(double, prompt + response)[p - 1 :].sum().item()
        rows.append({"prompt": prompt, "response": response, "logprob": rounded(lp)})
    return {
        "sequences": [{"ids": s, "logprobs": rounded(next_logprobs(double, s))} for s in sequences],
        "lastLogits": rounded(double(torch.tensor([sequences[0]])).logits[0, -1]),
        "greedy": [{"prompt": p, "continuation": c} for p, c in zip(prompts, continuations)],
        "rows": rows,
    }


if __name__ == "__main__":
    with torch.no_grad():
        for seed, (name, build) in enumerate(MODELS.items(), 1):
            if len(sys.argv) > 1 and name not in sys.argv[1:]:
                continue
            folder = GOLDEN / "models" / name
            save(name, randomize(build(), seed), folder)
            found = cases(folder, 100 + seed)
            write_json(folder / "cases.json", found)
            print(name, [len(g["continuation"]) for g in found["greedy"]], rounded(found["rows"][0]["logprob"], 5))

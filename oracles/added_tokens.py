"""Golden ids where tokenizer_config.json lists tokens that tokenizer.json does not have, by transformers' AutoTokenizer.

usage: python oracles/added_tokens.py        after tokenization.py; writes test/golden/added-tokens.json

Each case is a change to tokenizer_config.json of test/golden/tokenizer, and what the tokenizer then is.
"""

import json
import os
import pathlib
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
from transformers import AutoTokenizer

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "test" / "golden"
TEXT = "yes<|new|>no<|x|> maybe<|y|> please<|im_end|>"


def token(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True, **flags}


CASES = [
    {},
    {"eos_token": "<|new|>"},
    {"added_tokens_decoder": {"420": token("<|x|>"), "421": token("<|y|>", special=False)}},
    {"added_tokens_decoder": {"900": token("<|x|>"), "450": token("<|y|>")}},
    {"added_tokens_decoder": {"5": token("<|x|>", lstrip=True)}},
    {"added_tokens_decoder": {"420": token("<|x|>")}, "eos_token": "<|new|>", "pad_token": "<|y|>"},
    {"additional_special_tokens": ["<|x|>", "<|y|>"]},
    {"extra_special_tokens": ["<|y|>"], "bos_token": "<|new|>"},
    {"extra_special_tokens": {"boi_token": "<|x|>"}},
]


def case(change):
    with tempfile.TemporaryDirectory() as folder:
        for file in (GOLDEN / "tokenizer").iterdir():
            shutil.copy(file, folder)
        path = pathlib.Path(folder) / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        tok = AutoTokenizer.from_pretrained(folder)
        ids = tok(TEXT).input_ids
        return {
            "change": change,
            "size": len(tok),
            "bos": tok.bos_token_id,
            "eos": tok.eos_token_id,
            "pad": tok.pad_token_id,
            "ids": ids,
            "decoded": tok.decode(ids),
            "plain": tok.decode(ids, skip_special_tokens=True),
            "names": tok.apply_chat_template([{"role": "user", "content": ""}], chat_template="{{ eos_token }} {{ boi_token }}", tokenize=False),
        }


out = {"text": TEXT, "cases": [case(change) for change in CASES]}
lines = [f'"text": {json.dumps(TEXT)}', '"cases": [\n' + ",\n".join(json.dumps(c) for c in out["cases"]) + "\n]"]
(GOLDEN / "added-tokens.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")

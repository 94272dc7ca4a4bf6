"""Golden tokenizations: what TRL's own trainers make of our rows.

usage: python oracles/tokenization.py            writes test/golden/tokenizer/, tokenizer-bos/ and tokenization.json
       python oracles/tokenization.py MODEL ROWS  prints DPO, SFT and reward tokenizations of 200 rows (max_length 256)

The two small tokenizers are trained here on a few sentences: a byte-level BPE with a ChatML template, and a
SentencePiece-like one that puts <s> first and has Llama's template shape. Needs transformers, trl, datasets.
"""

import gzip
import json
import os
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
from datasets import Dataset
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from trl import DPOConfig, RewardConfig, SFTConfig
from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer
from trl.trainer.reward_trainer import RewardTrainer
from trl.trainer.sft_trainer import SFTTrainer

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "test", "golden")

SENTENCES = """How do I bake bread at home? Mix flour, water, salt and yeast; let the dough rise, then bake it for an hour.
I can't help with that, but here is what you could do instead: talk to someone you trust.
What are the names of the planets? Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune.
The assistant answers the user's question in 3 steps. Don't worry, we'll get there together!
Tell me how to open a lock without its key. You should call a locksmith, it's safer and it's legal.
system user assistant Human Assistant yes no maybe helpful harmless honest answer question please thank you""".split("\n")

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

LLAMA = """{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim + '\\n\\n' %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = '' %}
{%- endif %}
{{- bos_token }}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Roles must alternate user/assistant/...') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {{- '[INST] ' + (system if loop.first else '') + message['content'] | trim + ' [/INST]' }}
    {%- else %}
        {{- ' ' + message['content'] | trim + eos_token }}
    {%- endif %}
{%- endfor %}
"""


def byte_level():
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tok.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tok.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=420, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        ),
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tok, bos_token="<|im_start|>", eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = CHATML
    return fast


def llama_like():
    tok = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>"]
    tok.pre_tokenizer = pre_tokenizers.Split(Regex("(?<=[a-z])(?=▁)"), "isolated")
    tok.train_from_iterator(
        SENTENCES,
        trainers.BpeTrainer(
            vocab_size=470, special_tokens=special, initial_alphabet=[], show_progress=False
        ),
    )
    state = json.loads(tok.to_str())
    state["pre_tokenizer"] = None
    have = state["model"]["vocab"]
    for byte in range(256):  # so that no text is unknown
        have.setdefault(f"<0x{byte:02X}>", len(have))
    tok = Tokenizer.from_str(json.dumps(state))
    tok.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tok.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", tok.token_to_id("<s>"))]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tok, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    fast.chat_template = LLAMA
    return fast


class Bare:
    """Enough of a trainer for its `_prepare_dataset`."""

    chat_template = None
    completion_only_loss = True

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer
        self.chat_template = tokenizer.chat_template


def options(cls, max_length, **more):
    return cls(output_dir=tempfile.gettempdir(), use_cpu=True, bf16=False, report_to=[], max_length=max_length, **more)


def dpo(tk, row, max_length):
    data = DPOTrainer._prepare_dataset(Bare(tk), Dataset.from_list([row]), tk, options(DPOConfig, max_length), "x")
    if len(data) == 0:
        return None
    example = data[0]
    batch = DataCollatorForPreference(pad_token_id=0, max_length=max_length)([example])
    out = {"prompt": example["prompt_ids"]}
    for name, ids, mask, seen in zip(
        ("chosen", "rejected"), batch["input_ids"], batch["completion_mask"], batch["attention_mask"], strict=True
    ):
        out[name] = [int(i) for i, m, a in zip(ids, mask, seen, strict=True) if m and a]
    return out


def sft(tk, row, max_length):
    args = options(SFTConfig, max_length)
    data = SFTTrainer._prepare_dataset(Bare(tk), Dataset.from_list([row]), tk, args, False, None, "x")
    if len(data) == 0:
        return None
    ids, labels = data[0]["input_ids"], data[0]["labels"]
    start = next(i for i, label in enumerate(labels) if label != -100)
    return {"prompt": ids[:start], "completion": ids[start:]}


def reward(tk, row, max_length):
    data = RewardTrainer._prepare_dataset(Bare(tk), Dataset.from_list([row]), tk, options(RewardConfig, max_length), "x")
    return None if len(data) == 0 else {"chosen": data[0]["chosen_ids"], "rejected": data[0]["rejected_ids"]}


def user(text):
    return {"role": "user", "content": text}


def answer(text):
    return {"role": "assistant", "content": text}


PAIRS = [
    {"prompt": "How do I bake bread?", "chosen": " Mix flour and water.", "rejected": " I don't know 123."},
    {"prompt": "How do I bake bre", "chosen": "ad at home? Mix flour.", "rejected": "w? No."},  # tokens merge across
    {"prompt": "", "chosen": "yes", "rejected": "no"},
    {"prompt": "Crème brûlée 🍮?\n\n", "chosen": "Oui, 你好 — “merci”.\n", "rejected": "\tnon  merci "},
    {"prompt": "Human: open a lock\n\nAssistant:", "chosen": " Call a locksmith.{eos}", "rejected": ""},
    {"chosen": "\n\nHuman: hi\n\nAssistant: hello you", "rejected": "\n\nHuman: hi\n\nAssistant: hello there, you"},
    {"chosen": "the same", "rejected": "the same and more"},
    {"prompt": [user("How do I bake bread?")], "chosen": [answer("Mix flour.")], "rejected": [answer("No!")]},
    {
        "prompt": [{"role": "system", "content": "Be kind. "}, user("Hi"), answer("Hello"), user("Names of planets?")],
        "chosen": [answer("Mars, Venus")],
        "rejected": [answer("Mars"), user("more"), answer("Venus")],
    },
    {"chosen": [user("Hi"), answer("Hello")], "rejected": [user("Hi"), answer("Go away")]},
]

COMPLETIONS = [
    {"prompt": "How do I bake bread?", "completion": " Mix flour and water."},
    {"prompt": "How do I bake bre", "completion": "ad at home?"},
    {"prompt": [user("How do I bake bread?")], "completion": [answer("Mix flour.")]},
    {"messages": [user("Hi"), answer("Hello"), user("And now?"), answer("Goodbye")]},
    {"text": "The planets: Mercury, Venus."},
]


def cases(tk):
    fill = lambda row: {k: v.replace("{eos}", tk.eos_token) if isinstance(v, str) else v for k, v in row.items()}
    out = {"dpo": [], "sft": [], "reward": []}
    for row in map(fill, PAIRS):
        for max_length in (None, 24, 8):
            out["dpo"].append({"row": row, "max_length": max_length, "expected": dpo(tk, row, max_length)})
            out["reward"].append({"row": row, "max_length": max_length, "expected": reward(tk, row, max_length)})
    for row in COMPLETIONS:
        for max_length in (None, 24, 8):
            out["sft"].append({"row": row, "max_length": max_length, "expected": sft(tk, row, max_length)})
    texts = ["", " ", "Hello", "Don't  worry,\n\nit's 2024!", "a<|im_end|>b</s> c", "naïve 日本語 🙂🙃\u200b", "x" * 50, "½ cup, x² ①٣ 12", "a \x85 \u00a0b\u2028"]
    out["texts"] = [
        {
            "text": text,
            "ids": tk(text).input_ids,
            "plain": tk(text, add_special_tokens=False).input_ids,
            "decoded": tk.decode(tk(text).input_ids),
            "decoded_plain": tk.decode(tk(text).input_ids, skip_special_tokens=True),
        }
        for text in texts
    ]
    chats = [[user("Hi")], [{"role": "system", "content": "Short."}, user("  Hi "), answer("Hello\n"), user("Go on")]]
    out["chats"] = [
        {
            "messages": chat,
            "text": tk.apply_chat_template(chat, tokenize=False),
            "prompt": tk.apply_chat_template(chat, tokenize=False, add_generation_prompt=True),
        }
        for chat in chats
    ]
    pad = tk.eos_token_id if tk.pad_token_id is None else tk.pad_token_id
    out["ids"] = {"bos": tk.bos_token_id, "eos": tk.eos_token_id, "pad": pad, "size": len(tk)}
    return out


def write_goldens():
    result = {}
    for name, tk in (("tokenizer", byte_level()), ("tokenizer-bos", llama_like())):
        folder = os.path.join(HERE, name)
        tk.save_pretrained(folder)
        result[name] = cases(AutoTokenizer.from_pretrained(folder))
        path = os.path.join(folder, "tokenizer.json")
        state = json.load(open(path))
        json.dump(state, open(path, "w"), ensure_ascii=False, separators=(",", ":"))
    with open(os.path.join(HERE, "tokenization.json"), "w") as f:
        json.dump(result, f, ensure_ascii=False, separators=(",", ":"))


def print_real(model, rows_file):
    tk = AutoTokenizer.from_pretrained(model)
    rows = [json.loads(line) for line in gzip.open(rows_file, "rt")][:200]
    chat = lambda row: {"prompt": [user(row["prompt"])], **{k: [answer(row[k])] for k in ("chosen", "rejected")}}
    sides = ("prompt", "chosen", "rejected")
    rows = [{k: row[k] for k in sides if k in row} for row in rows]
    if "prompt" in rows[0]:
        rows = rows[:100] + [chat(row) for row in rows[100:]]
    for row in rows:
        done = {"row": row, "dpo": dpo(tk, row, 256), "reward": reward(tk, row, 256)}
        if "prompt" in row:
            done["sft"] = sft(tk, {"prompt": row["prompt"], "completion": row["chosen"]}, 256)
        print(json.dumps(done))


if __name__ == "__main__":
    import datasets

    datasets.disable_progress_bars()
    print_real(*sys.argv[1:3]) if len(sys.argv) > 2 else write_goldens()

"""Log-odds of a guard's two answers by transformers: tests/golden/guard.json.

usage: python oracles/guard.py        (from the repository's root, with transformers and torch)
"""
import json
import pathlib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

root = pathlib.Path(__file__).parent.parent
model_dir = root / "test/golden/models/llama"
tokenizer = AutoTokenizer.from_pretrained(model_dir)
model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
TEMPLATE = "far {prompt} mix {response} key"
# A chat template of the guards' shape: the whole conversation first, then the answer's place.
CHAT = (
    "{% for message in messages %}{{ message['role'] }} far {{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}key{% endif %}"
)
rows = [
    {"prompt": "bread", "response": "mix far"},
    {"prompt": "far {response} key", "response": "bread"},
    {"prompt": [{"role": "user", "content": "mix"}, {"role": "assistant", "content": "far"}, {"role": "user", "content": "key"}],
     "response": "bread mix"},
]


def logprob(ids, answer):
    more = tokenizer(answer, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([ids + more])).logits[0].double().log_softmax(-1)
    return sum(logits[len(ids) - 1 + k, token].item() for k, token in enumerate(more))


def turns(prompt):
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def filled(row):
    own = turns(row["prompt"])
    text = own[0]["content"] if len(own) == 1 else "\n".join(f"{t['role']}: {t['content']}" for t in own)
    head, rest = TEMPLATE.split("{prompt}")
    middle, tail = rest.split("{response}")
    return head + text + middle + row["response"] + tail


found = {"template": TEMPLATE, "chat_template": CHAT, "safe": " mix", "unsafe": " bread key", "rows": []}
for row in rows:
    chat = tokenizer.apply_chat_template(
        turns(row["prompt"]) + [{"role": "assistant", "content": row["response"]}],
        chat_template=CHAT, add_generation_prompt=True, tokenize=True, return_dict=False,
    )
    text = tokenizer(filled(row))["input_ids"]
    odds = [logprob(ids, found["safe"]) - logprob(ids, found["unsafe"]) for ids in (text, chat)]
    found["rows"].append({**row, "by_template": odds[0], "by_chat": odds[1]})
(root / "test/golden/guard.json").write_text(json.dumps(found, indent=1) + "\n")
print(found["rows"])

"""What the oracles share: tiny models with strong random weights, their tokenizer, and plain JSON.

Every model has 96 tokens, width 32, at most 2 layers, 4 heads; weights are normal with deviation 0.25 and no bias or norm weight
is left at its default, so that a mistake anywhere moves the outputs far beyond rounding.
"""

import json
import pathlib

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "test" / "golden"
VOCAB, PAD, EOS = 96, 0, 1

TEXT = """how do i bake bread at home? mix the flour, the water and the salt, then wait and bake it.
i can not help with that, but here is what you could do: ask a friend or a doctor.
where is the red key? it is in the box at the door of the old house.
tell me a story about the sea. there was a ship and it sailed far, far away from the shore.
is it safe to mix these? no, it is not safe: open the window and leave the room.""".split("\n")


def tokenizer():
    """Byte-level BPE of 96 tokens over lower-case English; <pad> 0, <eos> 1, and nothing added by itself."""
    tok = Tokenizer(models.BPE(unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    alphabet = list("abcdefghijklmnopqrstuvwxyzĠ.,:?!'")
    special = ["<pad>", "<eos>", "<unk>"]
    tok.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    )
    assert tok.get_vocab_size() == VOCAB
    return PreTrainedTokenizerFast(tokenizer_object=tok, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>")


def randomize(model, seed, std=0.25):
    """Normal weights; norm weights about 1, biases about 0, tied weights once."""
    gen = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            norm = "norm" in name.lower() or ".ln_" in name
            p.copy_(torch.randn(p.shape, generator=gen) * std + (1.0 if norm and name.endswith("weight") else 0.0))
    return model.eval()


def rounded(x, digits=9):
    """Nested lists of floats to `digits` significant digits."""
    if isinstance(x, torch.Tensor):
        x = x.tolist()
    if isinstance(x, (list, tuple)):
        return [rounded(v, digits) for v in x]
    return float(f"{x:.{digits}g}") if isinstance(x, float) else x


def write_json(path, value):
    """One entry of a list or object a line; rows of numbers stay on theirs."""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, dict):
        lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
    else:
        text = "[\n" + ",\n".join(json.dumps(v) for v in value) + "\n]\n"
    pathlib.Path(path).write_text(text)


def random_ids(gen, n):
    """Token ids without pad and end token."""
    return torch.randint(3, VOCAB, (n,), generator=gen).tolist()

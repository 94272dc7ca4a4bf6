"""Tiny encoders with a classification head of every supported family, and what transformers says they compute.

usage: python oracles/classifiers.py [NAME ...]     writes test/golden/classifiers/<name>/ with cases.json (all by default)

cases.json: cases[i] has prompt, response, reads ("response" or "pair"), max_length (null: none), ids and types as the tokenizer
gives them, logits in double precision (norms and rotary angles stay float32 there), and of whole responses the scores that
the pipeline "text-classification" gives by itself, in the labels' order; buckets (DeBERTa) holds
transformers' own buckets of the distances 0, 1, 2, ... for some sizes.
"""

import collections
import math
import shutil
import sys

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForSequenceClassification
from transformers import DebertaV2Config, DebertaV2ForSequenceClassification, DistilBertConfig
from transformers import DistilBertForSequenceClassification, ModernBertConfig, ModernBertForSequenceClassification
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForSequenceClassification, pipeline
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from common import GOLDEN, TEXT, randomize, rounded, write_json

SIZE = 120
MORE = TEXT + ["Übung macht den Meister! 3,141 and 2 cats; naïve façades (don't panic) #42", "你好 world"]

BERT_NORMALIZER = normalizers.BertNormalizer(lowercase=True)


def pieces():
    """Characters and frequent pieces of two to five characters with their counts: training would order equals by chance."""
    words = [word for line in MORE for word in BERT_NORMALIZER.normalize_str(line).split()]
    counts = collections.Counter(w[i : i + n] for w in words for n in (2, 3, 4, 5) for i in range(len(w) - n + 1))
    return sorted({c for w in words for c in w}), sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def word_piece():
    letters, frequent = pieces()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab = [*special, *letters, *(f"##{c}" for c in letters if c.isalnum())]
    for i, (piece, _) in enumerate(frequent):
        if len(vocab) < SIZE:
            vocab.append(piece if i % 2 else f"##{piece}")
    tok = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(vocab)}, unk_token="[UNK]"))
    tok.normalizer = BERT_NORMALIZER
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece()
    return tok


TYPED = ["input_ids", "token_type_ids", "attention_mask"]


def bert_tokenizer(**more):
    tok = word_piece()
    vocab = tok.get_vocab()
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(t, vocab[t]) for t in ("[CLS]", "[SEP]")],
    )
    names = dict(unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    return PreTrainedTokenizerFast(tokenizer_object=tok, **names, **more)


def byte_level(special):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tok.train_from_iterator(MORE, trainer)
    return tok


def roberta_tokenizer():
    tok = byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tok.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    names = dict(bos_token="<s>", eos_token="</s>", sep_token="</s>", cls_token="<s>", unk_token="<unk>", pad_token="<pad>")
    names["mask_token"] = AddedToken("<mask>", lstrip=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, **names, model_input_names=["input_ids", "attention_mask"], truncation_side="right"
    )


def modernbert_tokenizer():
    tok = byte_level(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:0 [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, **names, model_input_names=["input_ids", "attention_mask"], truncation_side="left"
    )


def deberta_tokenizer():
    letters, frequent = pieces()
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    rare = [(c, -8.0) for c in letters if c.isascii()] + [("▁", -3.0)]
    # No two scores are equal, nor sums of them: which of equals is taken is nobody's promise.
    scored = [(f"▁{piece}" if i % 2 else piece, math.log(count / 200) - 0.0137 * i**1.5 / 50) for i, (piece, count) in enumerate(frequent)]
    vocab = [(token, 0.0) for token in special] + (rare + scored)[: SIZE - len(special)]
    tok = Tokenizer(models.Unigram(vocab, unk_id=3))
    tok.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace()
    tok.decoder = decoders.Metaspace()
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    names = dict(unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    return PreTrainedTokenizerFast(tokenizer_object=tok, **names, model_input_names=TYPED)


def labels(*names, problem=None):
    return dict(id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)}, problem_type=problem)


TOXIC = labels("toxic", "severe_toxic", "obscene", problem="multi_label_classification")
REWARD = labels("LABEL_0")
SIZES = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
DEBERTA = dict(
    **SIZES, vocab_size=SIZE, max_position_embeddings=64, relative_attention=True, position_biased_input=False,
    pos_att_type="p2c|c2p", pad_token_id=0,
)  # fmt: skip
ROPES = {
    "full_attention": dict(rope_type="default", rope_theta=500.0),
    "sliding_attention": dict(rope_type="default", rope_theta=50.0),
}
KINDS = {
    "bert": (
        lambda: bert_tokenizer(model_input_names=TYPED),
        lambda: BertForSequenceClassification(BertConfig(**SIZES, vocab_size=SIZE, max_position_embeddings=64, **TOXIC)),
    ),
    # Its tokenizer names no token types, so that transformers 5 gives none.
    "bert-relu": (
        bert_tokenizer,
        lambda: BertForSequenceClassification(
            BertConfig(
                **{**SIZES, "num_hidden_layers": 1}, vocab_size=SIZE, max_position_embeddings=48, hidden_act="relu",
                layer_norm_eps=1e-3, type_vocab_size=3, **labels("refused", "answered"),
            )
        ),
    ),
    "roberta": (
        roberta_tokenizer,
        lambda: RobertaForSequenceClassification(
            RobertaConfig(
                **SIZES, vocab_size=300, max_position_embeddings=66, type_vocab_size=1, layer_norm_eps=1e-5,
                pad_token_id=1, bos_token_id=0, eos_token_id=2, **labels("neutral", "toxic"),
            )
        ),
    ),
    "distilbert": (
        bert_tokenizer,
        lambda: DistilBertForSequenceClassification(
            DistilBertConfig(
                vocab_size=SIZE, dim=32, hidden_dim=48, n_layers=2, n_heads=4, max_position_embeddings=64,
                **labels("NEGATIVE", "POSITIVE", problem="single_label_classification"),
            )
        ),
    ),
    "deberta-v3": (
        deberta_tokenizer,
        lambda: DebertaV2ForSequenceClassification(
            DebertaV2Config(
                **DEBERTA, position_buckets=8, share_att_key=True, norm_rel_ebd="layer_norm", type_vocab_size=0,
                layer_norm_eps=1e-7, **REWARD,
            )
        ),
    ),
    # Projections of their own, no buckets, fewer relative positions than tokens, a narrow embedding with all three tables.
    "deberta-v2-own-keys": (
        deberta_tokenizer,
        lambda: DebertaV2ForSequenceClassification(
            DebertaV2Config(
                **{**DEBERTA, "position_biased_input": True, "pos_att_type": ["c2p", "p2c"]}, max_relative_positions=12,
                type_vocab_size=2, embedding_size=16, pooler_hidden_act="gelu_new", **labels("a", "b", "c", "d"),
            )
        ),
    ),
    "modernbert": (
        modernbert_tokenizer,
        lambda: ModernBertForSequenceClassification(
            ModernBertConfig(
                **{**SIZES, "num_hidden_layers": 4}, vocab_size=300, max_position_embeddings=96, local_attention=12,
                pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3,
                rope_parameters=ROPES, **labels("safe", "unsafe"),
            )
        ),
    ),
    "modernbert-mean": (
        modernbert_tokenizer,
        lambda: ModernBertForSequenceClassification(
            ModernBertConfig(
                **SIZES, vocab_size=300, max_position_embeddings=96, local_attention=8, classifier_pooling="mean",
                classifier_bias=True, norm_bias=True, attention_bias=True, mlp_bias=True, classifier_activation="silu",
                hidden_activation="gelu_pytorch_tanh", pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2,
                sep_token_id=3, **labels("score", problem="regression"),
            )
        ),
    ),
}  # fmt: skip
ROWS = [
    ("how do i bake bread at home?", "mix the flour and wait"),
    ("is it safe to mix these?", "No! It's NOT safe: open the window, and leave the room; ask a friend or a doctor."),
    ("Übung macht den Meister (3,141)?", "naïve façades don't  panic… 你好 😀 #42 <pad> [SEP] </s>"),
    ("where is the red key? it is in the box at the door of the old house. tell me a story about the sea.", "there was a ship"),
    ("", "far, far away"),
    ("a question", ""),
]


def row(tokenizer, model, prompt, response, reads, most):
    texts = [response] if reads == "response" else [prompt, response]
    cut = dict(truncation=True, max_length=most) if most else {}
    # In lists: alone, an empty second text counts as none.
    x = tokenizer(*([text] for text in texts), **cut, return_tensors="pt")
    types = x.get("token_type_ids", torch.zeros_like(x["input_ids"]))
    return {
        **dict(prompt=prompt, response=response, reads=reads, max_length=most),
        **dict(ids=x["input_ids"][0].tolist(), types=types[0].tolist(), logits=rounded(model(**x).logits[0])),
    }


def cases(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float64).eval()
    most = {"bert-relu": 48}.get(folder.name, 64)
    found = [row(tokenizer, model, *texts, reads, most) for texts in ROWS for reads in ("response", "pair")]
    single = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    pipe = pipeline("text-classification", model=single, tokenizer=tokenizer, top_k=None)
    for one in found:
        if one["reads"] == "response" and one["response"]:
            scores = {s["label"]: s["score"] for s in pipe([one["response"]], truncation=True, max_length=most)[0]}
            one["scores"] = rounded([scores[model.config.id2label[i]] for i in range(model.config.num_labels)])
    # The shorter text whole and the longer cut; both cut, the odd token to either side; the other one longer.
    for texts in (ROWS[0], ROWS[1], ROWS[3]):
        found += [row(tokenizer, model, *texts, "pair", most) for most in (21, 24)]
        found.append(row(tokenizer, model, *texts, "response", 9))
    return found


def buckets():
    distances = torch.arange(0, 600)
    sizes = ((256, 512), (8, 64), (32, 128), (50, 1000))
    return [
        {"size": size, "far": far, "buckets": make_log_bucket_position(distances, size, far).long().tolist()}
        for size, far in sizes
    ]


if __name__ == "__main__":
    with torch.no_grad():
        for seed, (name, (tokenizer, build)) in enumerate(KINDS.items(), 201):
            if len(sys.argv) > 1 and name not in sys.argv[1:]:
                continue
            folder = GOLDEN / "classifiers" / name
            shutil.rmtree(folder, ignore_errors=True)
            randomize(build(), seed).save_pretrained(folder)
            tokenizer().save_pretrained(folder)
            found = cases(folder)
            write_json(folder / "cases.json", found)
            print(name, rounded(found[1]["logits"], 5), [len(c["ids"]) for c in found])
        write_json(GOLDEN / "classifier-buckets.json", buckets())

"""Golden renderings of chat templates: what transformers' `apply_chat_template` makes of public-shaped templates.

usage: python oracles/templates.py               writes test/golden/templates.json
       python oracles/templates.py OUT N SEED    writes N random expressions and 60 conversations a template to OUT

Two parts. `templates`: templates in the shapes that published models have, in our own words, each rendered over generated
conversations. `expressions`: random expressions of Jinja2 over the same conversations, one template each. A rendering that
transformers refuses is null. The clock of strftime_now stands at 2024-07-04 09:05:07. Needs transformers and tokenizers.
"""

import datetime
import json
import os
import pathlib
import random
import re
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers.utils.chat_template_utils as chat
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE.parent / "test" / "golden" / "templates.json"
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 4, 9, 5, 7)


chat.datetime = Clock

TEXTS = [
    "hello there",
    "",
    " ",
    "  two blanks\n",
    "\n\nlines\nand\r\nmore\r\n",
    "\ufeffmark\u200b",
    "\u0085next\u001cline\u2028sep\u00a0",
    "🍮🙂 naïve ÅÉ 日本語 ß",
    "it's \"quoted\" \\ back\\nslash",
    "<think>\nhmm, 2+2\n</think>\n\nfour",
    "<think>no end",
    "{{ not }} {% a %} {# tag #}",
    "<|im_end|></s>[INST] x [/INST]",
    "- one\n  - two\n\n\tthree",
    "MiXed Case words-and (more) 1.50 12",
    "0",
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tells the weather of a “city”",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "enum": ["Köln", "🍮"]}, "days": {"type": "integer", "default": 3}},
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "now", "description": "", "parameters": {}}},
]
CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Köln", "days": 2, "hot": True, "x": None}}},
    {"id": "c2", "type": "function", "function": {"name": "now", "arguments": "{\"a\": 1}"}},
]


def conversation(rng, kind):
    """Messages of one kind: plain, system, long, tools, parts, thinking, odd."""
    text = lambda: rng.choice(TEXTS)
    turn = lambda role: {"role": role, "content": text()}
    if kind == "plain":
        return [turn("user")]
    if kind == "system":
        return [turn("system"), turn("user"), turn("assistant"), turn("user")]
    if kind == "long":
        return [turn(r) for r in ["user", "assistant"] * rng.randint(1, 3)]
    if kind == "tools":
        called = {"role": "assistant", "content": rng.choice([None, "", text()]), "tool_calls": rng.sample(CALLS, rng.randint(1, 2))}
        if called["content"] is None and rng.random() < 0.5:
            del called["content"]
        return [turn("user"), called, {"role": "tool", "name": "get_weather", "tool_call_id": "call_1", "content": text()}, turn("assistant"), turn("user")]
    if kind == "parts":
        parts = [{"type": "text", "text": text()}, {"type": "text", "text": text()}]
        return [{"role": "user", "content": parts}, turn("assistant")]
    if kind == "thinking":
        said = {"role": "assistant", "content": text(), rng.choice(["reasoning_content", "thinking", "reasoning"]): text()}
        return [turn("user"), said, turn("user")]
    return [turn(rng.choice(["user", "assistant", "system", "critic", "developer"])) for _ in range(rng.randint(1, 4))]


KINDS = ["plain", "system", "long", "tools", "parts", "thinking", "odd"]


def options(rng, kind):
    out = {"add_generation_prompt": rng.random() < 0.5}
    if kind == "tools" or rng.random() < 0.2:
        out["tools"] = rng.choice([TOOLS, TOOLS[:1], []])
    if rng.random() < 0.3:
        out["kwargs"] = rng.choice([{"enable_thinking": False}, {"enable_thinking": True}, {"date_string": "26 Jul 2024"}, {"custom_instructions": "Be brief"}])
    return out


def tokenizer():
    tok = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "<pad>": 3}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=tok, **SPECIAL)


def render(tok, template, messages, opts):
    try:
        return tok.apply_chat_template(
            messages,
            chat_template=template,
            tokenize=False,
            add_generation_prompt=opts["add_generation_prompt"],
            tools=opts.get("tools"),
            **opts.get("kwargs", {}),
        )
    except Exception:
        return None


# Random expressions -------------------------------------------------------------------------------------------------

STRINGS = ["m.content", "m['role']", "'a b  c'", "'\\n x\\t'", "bos_token", "'🙂é'", "(m.content|string)", "''", "'it\\'s'", "messages[-1].content", "m.missing"]
NUMBERS = ["1", "0", "-3", "2.5", "messages|length", "loop.index", "loop.index0", "1e3", "7", "true", "10"]
LISTS = ["messages", "[1, 2.0, 'x', none, true]", "[]", "tools", "(1, 'b')", "messages[1:]", "messages|map(attribute='role')|list", "['b','A','c']", "range(3)|list", "[3, 1, 2]", "[[1, 'b'], [0, 'a']]"]
DICTS = ["m", "{'a': 1, 'b': [true, none], 'C': 'x'}", "dict(x=1, y='z')", "{}", "tools[0]", "{1: 'one', 'n': 2.0}"]
NL = '"\\n"'
STRIPS = ["", "'\\n'", "' a'", "none", "'x '"]


def string(rng, d):
    if d <= 0:
        return rng.choice(STRINGS)
    s, n = (lambda: string(rng, d - 1)), (lambda: number(rng, d - 1))
    return rng.choice([
        lambda: s(),
        lambda: f"{s()}.{rng.choice(['strip', 'lstrip', 'rstrip'])}({rng.choice(STRIPS)})",
        lambda: f"({s()} | {rng.choice(['trim', 'upper', 'lower', 'title', 'capitalize', 'string', 'tojson', 'length', 'reverse', 'wordcount', 'int', 'float'])})",
        lambda: f"{s()}.{rng.choice(['upper', 'lower', 'title', 'capitalize', 'isdigit', 'isspace', 'isalpha', 'islower', 'swapcase'])}()",
        lambda: f"({s()} + {s()})",
        lambda: f"({s()} ~ {any_value(rng, d - 1)})",
        lambda: f"({s()})[{rng.choice(['0', '-1', '1:', ':-1', '::-1', '1:3', '::2', '100', '-2:', ':2'])}]",
        lambda: f'''({s()}).replace({rng.choice(['"a"', NL, '" "', '""'])}, {rng.choice(['""', '"--"'])}{rng.choice(['', ', 1'])})''',
        lambda: f"({s()} | replace('a', 'bb'))",
        lambda: f"({s()} | indent({rng.choice(['', '2', '4, true', 'first=true', 'width=2, blank=true'])}))",
        lambda: f'''({lst(rng, d - 1)} | join({rng.choice(['', '", "', '"-"'])}))''',
        lambda: f'''{s()}.split({rng.choice(['', NL, '" "', '" ", 1', '"</think>"', 'none, 1'])})''',
        lambda: f"{s()}.{rng.choice(['rsplit', 'partition', 'rpartition'])}(' ')",
        lambda: f"{s()}.splitlines()",
        lambda: f'''({any_value(rng, d - 1)} | tojson({rng.choice(['', 'indent=2', 'indent=4', 'ensure_ascii=true', 'sort_keys=true', 'separators=(",", ":")', 'indent=0'])}))''',
        lambda: f"({any_value(rng, d - 1)} | string)",
        lambda: f"({s()} if {boolean(rng, d - 1)} else {s()})",
        lambda: f"({s()} if {boolean(rng, d - 1)})",
        lambda: f'''({s()} | default({rng.choice(['', '"d"', '"d", true', 'boolean=true'])}))''',
        lambda: f"('%s|%s' % ({s()}, {any_value(rng, d - 1)}))",
        lambda: f"('%s' | format({any_value(rng, d - 1)}))",
        lambda: f"({s()} * {n()})",
        lambda: f"'{{}}-{{}}'.format({s()}, {n()})",
        lambda: f'''({s()} | truncate({rng.choice(['5', '5, true', '12, false, ".."', '3, leeway=0'])}))''',
        lambda: f"({s()} | center({rng.choice(['12', '7'])}))",
        lambda: f"{s()}.{rng.choice(['ljust', 'rjust', 'center', 'zfill'])}({rng.choice(['6', '9'])})",
        lambda: f'''strftime_now({rng.choice(['"%d %b %Y"', '"%Y-%m-%d %H:%M:%S"', '"%B %-d, %A"', '"%y %I %p %%"'])})''',
        lambda: f'''{s()}.removeprefix('a').removesuffix('\\n')''',
    ])()


def number(rng, d):
    if d <= 0:
        return rng.choice(NUMBERS)
    n = lambda: number(rng, d - 1)
    return rng.choice([
        n,
        lambda: f"({n()} {rng.choice(['+', '-', '*', '/', '//', '%'])} {n()})",
        lambda: f"(-{n()})",
        lambda: f"({any_value(rng, d - 1)} | length)",
        lambda: f"({lst(rng, d - 1)} | {rng.choice(['sum', 'min', 'max', 'first', 'last', 'length', 'count'])})",
        lambda: f'''({string(rng, d - 1)}).{rng.choice(['find', 'rfind', 'count', 'index'])}({rng.choice(['"a"', '" "', '"🙂"', NL])})''',
        lambda: f'''({n()} | {rng.choice(['int', 'float', 'abs', 'round', 'round(1)', 'round(method="ceil")', 'string'])})''',
        lambda: f"({string(rng, d - 1)} | int({rng.choice(['', '-1', 'default=5'])}))",
        lambda: f"({n()} ** 2)",
    ])()


def lst(rng, d):
    if d <= 0:
        return rng.choice(LISTS)
    v = lambda: lst(rng, d - 1)
    return rng.choice([
        v,
        lambda: f"({v()} + {v()})",
        lambda: f"({v()})[{rng.choice(['1:', ':1', '::-1', '-1:', '0:10:2', '5:'])}]",
        lambda: f"({v()} | {rng.choice(['list', 'reverse', 'reverse | list', 'sort', 'sort(reverse=true)', 'unique | list', 'unique', 'first', 'last', 'batch(2) | list'])})",
        lambda: f"({v()} | {rng.choice(['selectattr', 'rejectattr'])}('role', 'equalto', 'user'){rng.choice([' | list', ''])})",
        lambda: f'''({v()} | {rng.choice(['selectattr', 'rejectattr'])}({rng.choice(['"content"', '"tool_calls", "defined"', '"role", "in", ["user", "tool"]', '"role", "eq", "system"'])}) | list)''',
        lambda: f'''({v()} | map({rng.choice(['attribute="role"', '"string"', '"upper"', 'attribute="content", default="none"', '"length"'])}) | list)''',
        lambda: f'''({v()} | {rng.choice(['select', 'reject'])}({rng.choice(['', '"string"', '"none"', '"gt", 1', '"in", [1, "x"]'])}) | list)''',
        lambda: f"({dct(rng, d - 1)}).{rng.choice(['keys', 'values', 'items'])}(){rng.choice([' | list', ''])}",
        lambda: f'''({dct(rng, d - 1)} | {rng.choice(['items | list', 'dictsort', 'list', 'dictsort(reverse=true)', 'dictsort(by="value")'])})''',
        lambda: f"range({rng.choice(['3', '1, 6, 2', '5, 0, -2', '0'])}) | list",
        lambda: f"({string(rng, d - 1)} | list)",
        lambda: f"({v()} | sort(attribute='role') | map(attribute='role') | list)",
    ])()


def dct(rng, d):
    if d <= 0:
        return rng.choice(DICTS)
    return rng.choice([
        lambda: dct(rng, d - 1),
        lambda: f"{{'k': {any_value(rng, d - 1)}, 'j': {any_value(rng, d - 1)}}}",
        lambda: f"dict({dct(rng, d - 1)}, z={any_value(rng, d - 1)})",
        lambda: f'''({dct(rng, d - 1)}).get({rng.choice(['"role"', '"a"', '"none", {}', '"q", "dflt"'])})''',
    ])()


def boolean(rng, d):
    if d <= 0:
        return rng.choice(["true", "false", "loop.first", "loop.last", "m.content", "tools", "m.role == 'user'", "none", "add_generation_prompt", "nothing", "enable_thinking is defined"])
    v, b = (lambda: any_value(rng, d - 1)), (lambda: boolean(rng, d - 1))
    return rng.choice([
        b,
        lambda: f"(not {b()})",
        lambda: f"({b()} {rng.choice(['and', 'or'])} {b()})",
        lambda: f"({v()} {rng.choice(['==', '!='])} {v()})",
        lambda: f"({number(rng, d - 1)} {rng.choice(['<', '<=', '>', '>='])} {number(rng, d - 1)})",
        lambda: f"({v()} {rng.choice(['in', 'not in'])} {rng.choice([lst, string, dct])(rng, d - 1)})",
        lambda: f"({v()} is {rng.choice(['', 'not '])}{rng.choice(['defined', 'undefined', 'none', 'string', 'number', 'integer', 'float', 'boolean', 'true', 'false', 'mapping', 'iterable', 'sequence', 'callable', 'lower', 'upper'])})",
        lambda: f"({number(rng, d - 1)} is {rng.choice(['odd', 'even', 'divisibleby(2)', 'divisibleby 3', 'eq 1', 'ge(2)', 'sameas true', 'in [1, 2]'])})",
        lambda: f'''({string(rng, d - 1)}).{rng.choice(['startswith', 'endswith'])}({rng.choice(['"a"', NL, '("h", "u")', '""', '"🙂"'])})''',
        lambda: f"({b()} == {b()})",
    ])()


def any_value(rng, d):
    return rng.choice([string, string, number, lst, dct, boolean])(rng, d)


SHELLS = [
    "{% for m in messages %}{{ EXPR }}|{% endfor %}",
    "{% for m in messages %}\n  {%- if EXPR %}\nyes {{ loop.index }}\n  {% else -%}\n no\n{% endif %}\n{% endfor %}\n",
    "{% for m in messages %}{% set x = EXPR %}[{{ x }}]{% endfor %}",
    "{% set ns = namespace(v='') %}{% for m in messages if m.content is string %}{% set ns.v = EXPR %}{% endfor %}{{ ns.v }}",
    "{% macro f(m, loop, k=1) %}{{ k }}:{{ EXPR }}{% endmacro %}{% for m in messages %}{{ f(m, loop) }}{{ f(m, loop, k='z') }}{% endfor %}",
    "{% for m in messages %}{% for y in EXPR %}<{{ y }}>{% else %}none{% endfor %}\n{% endfor %}",
]


def expressions(rng, count):
    out = []
    for _ in range(count):
        body = rng.choice([any_value, any_value, string, lst])(rng, rng.randint(1, 3))
        out.append(rng.choice(SHELLS[:1] * 6 + SHELLS[1:]).replace("EXPR", body))
    return out


def cases(tok, rng, sources, per_template):
    """Renderings that print an address are left out."""
    out = []
    for i, source in enumerate(sources):
        for k in range(per_template):
            kind = KINDS[(i + k) % len(KINDS)]
            messages, opts = conversation(rng, kind), options(rng, kind)
            out.append({"template": i, "messages": messages, **opts, "text": render(tok, source, messages, opts)})
    return [case for case in out if not re.search(r"0x[0-9a-f]{9}", case["text"] or "")]


def main():
    tok = tokenizer()
    out = {"special": SPECIAL}
    if len(sys.argv) > 1:
        path, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
        from template_shapes import SHAPES

        rng = random.Random(seed)
        sources = list(SHAPES.values())
        out["templates"] = {"names": list(SHAPES), "sources": sources, "cases": cases(tok, rng, sources, 60)}
        sources = expressions(rng, count)
        out["expressions"] = {"sources": sources, "cases": cases(tok, rng, sources, 1)}
    else:
        from template_shapes import SHAPES

        path, rng = GOLDEN, random.Random(13)
        sources = list(SHAPES.values())
        out["templates"] = {"names": list(SHAPES), "sources": sources, "cases": cases(tok, rng, sources, 12)}
        sources = expressions(rng, 400)
        out["expressions"] = {"sources": sources, "cases": cases(tok, rng, sources, 1)}
    lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in out.items()]
    pathlib.Path(path).write_text("{\n" + ",\n".join(lines) + "\n}\n")
    for name in ("templates", "expressions"):
        if name in out:
            done = out[name]["cases"]
            print(name, len(done), "renderings,", sum(c["text"] is None for c in done), "refused")


main()

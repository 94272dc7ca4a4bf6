# /// script
# requires-python = ">=3.10"
# dependencies = [
#   "pyarrow>=18",
#   "ray[data]==2.60.0",
#   "vllm==0.32.0",
# ]
# ///
"""Answers to the requests that dualign exports (engine.sample: {export, import}), by vLLM or transformers, on Ray or alone.

usage: python dualign_bulk.py REQUESTS.parquet ANSWERS [--model DIR] [--engine vllm|transformers] [--ray]
       [--workers N] [--gpus-per-worker G] [--batch-size 256] [--dtype auto] [--max-model-len N] [--max-lora-rank R]

REQUESTS has a row a sample: token ids, seed and sampling options; or a given response whose log-probability is wanted.
ANSWERS is a folder that both this program and dualign see: it gets Parquet files with request_id, token_ids, logprobs,
finish_reason, and logprob. Requests that the folder answers already are left out, so that the same command goes on
after a stop. With --ray the workers are actors of Ray Data (as a job: ray job submit -- python dualign_bulk.py ...);
--model names the model's place on the workers where it is another than in the recipe.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("request_id", pa.string()),
        ("token_ids", pa.list_(pa.int32())),
        ("logprobs", pa.list_(pa.float64())),
        ("logprob", pa.float64()),
        ("finish_reason", pa.string()),
    ]
)


def answer_of(request, token_ids=None, logprobs=(), finish_reason=None):
    """Row of an answer; logprobs has one value for each token that was drawn or given."""
    return {
        "request_id": request["request_id"],
        "token_ids": token_ids,
        "logprobs": list(logprobs) if token_ids is not None else None,
        "logprob": float(sum(logprobs)),
        "finish_reason": finish_reason,
    }


class Vllm:
    """Worker on vLLM, offline: log-probabilities are the model's own, at temperature 1 and before any truncation."""

    def __init__(self, options):
        from vllm import LLM

        self.lora = options["adapters"]
        arguments = {
            "model": options["model"],
            "skip_tokenizer_init": True,
            "generation_config": "vllm",
            "logprobs_mode": "raw_logprobs",
            "dtype": options["dtype"],
            "tensor_parallel_size": max(1, int(options["gpus"])),
        }
        if options["max_model_len"]:
            arguments["max_model_len"] = options["max_model_len"]
        if options["eager"]:
            arguments["enforce_eager"] = True
        if self.lora:
            arguments |= {"enable_lora": True, "max_lora_rank": options["max_lora_rank"]}
        self.llm = LLM(**arguments)

    def answers(self, requests):
        from vllm import SamplingParams
        from vllm.lora.request import LoRARequest

        def params(request):
            if request["kind"] == "logprobs":
                return SamplingParams(max_tokens=1, temperature=1.0, prompt_logprobs=0, detokenize=False)
            return SamplingParams(
                n=1,
                seed=request["seed"],
                max_tokens=request["max_tokens"],
                temperature=request["temperature"],
                top_k=request["top_k"] or -1,
                top_p=request["top_p"],
                repetition_penalty=request["repetition_penalty"],
                stop_token_ids=list(request["stop_token_ids"]),
                logprobs=0,
                detokenize=False,
            )

        def prompt(request):
            given = request["response_token_ids"] if request["kind"] == "logprobs" else []
            return {"prompt_token_ids": [*request["prompt_token_ids"], *given]}

        def lora(request):
            path = request["adapter"]
            return LoRARequest(path, 1 + self.lora.index(path), path) if path else None

        # With LoRA on, vLLM on the CPU (0.32) ends when log-probabilities of given texts are computed beside another sequence.
        def is_alone(request):
            return bool(self.lora) and request["kind"] == "logprobs"

        together = [r for r in requests if not is_alone(r)]
        for group in [*([r] for r in requests if is_alone(r)), together]:
            if not group:
                continue
            outputs = self.llm.generate(
                [prompt(r) for r in group],
                [params(r) for r in group],
                lora_request=[lora(r) for r in group] if self.lora else None,
                use_tqdm=False,
            )
            for request, output in zip(group, outputs):
                if request["kind"] == "logprobs":
                    start = len(request["prompt_token_ids"])
                    places = zip(output.prompt_logprobs[start:], output.prompt_token_ids[start:])
                    yield answer_of(request, logprobs=[place[token].logprob for place, token in places])
                else:
                    drawn = output.outputs[0]
                    ids = list(drawn.token_ids)
                    values = [place[token].logprob for place, token in zip(drawn.logprobs, ids)]
                    yield answer_of(request, ids, values, drawn.finish_reason)


class Transformers:
    """Worker on transformers, a sequence at a time: for small models, and for machines without vLLM."""

    def __init__(self, options):
        import torch
        from transformers import AutoModelForCausalLM

        self.torch = torch
        dtype = torch.float32 if options["dtype"] == "auto" and not torch.cuda.is_available() else options["dtype"]
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.base = AutoModelForCausalLM.from_pretrained(options["model"], dtype=dtype).to(self.device).eval()
        self.adapted = None
        self.loaded = set()

    def model(self, adapter):
        if not adapter:
            return self.base if self.adapted is None else self.adapted.base_model.model
        from peft import PeftModel

        if self.adapted is None:
            self.adapted = PeftModel.from_pretrained(self.base, adapter, adapter_name=adapter.replace(".", "_"))
        elif adapter not in self.loaded:
            self.adapted.load_adapter(adapter, adapter_name=adapter.replace(".", "_"))
        self.loaded.add(adapter)
        self.adapted.set_adapter(adapter.replace(".", "_"))
        return self.adapted.eval()

    def logprobs(self, adapter, ids):
        """ln p of every next token at temperature 1, [len(ids), vocabulary]."""
        torch = self.torch
        model = self.model(adapter)
        bare = self.adapted is not None and not adapter
        with torch.inference_mode():
            inputs = torch.tensor([ids], device=self.device)
            if bare:
                with self.adapted.disable_adapter():
                    logits = self.adapted(inputs).logits
            else:
                logits = model(inputs).logits
            return logits[0].float().log_softmax(-1)

    def draw(self, request):
        torch = self.torch
        generator = torch.Generator().manual_seed(request["seed"] % 2**63)
        prompt, ids, values = list(request["prompt_token_ids"]), [], []
        stops = set(request["stop_token_ids"])
        if request["repetition_penalty"] != 1:
            raise SystemExit("repetition_penalty is for --engine vllm: leave it out")
        while len(ids) < request["max_tokens"] and (not ids or ids[-1] not in stops):
            raw = self.logprobs(request["adapter"], prompt + ids)[-1].cpu()
            chosen = raw.clone()
            chosen /= request["temperature"]
            if request["top_k"]:
                chosen[chosen < chosen.topk(request["top_k"]).values[-1]] = -torch.inf
            if request["top_p"] < 1:
                order = chosen.softmax(-1).sort(descending=True)
                beyond = order.values.cumsum(-1) - order.values >= request["top_p"]
                chosen[order.indices[beyond]] = -torch.inf
            token = int(torch.multinomial(chosen.softmax(-1), 1, generator=generator))
            ids.append(token)
            values.append(float(raw[token]))
        return answer_of(request, ids, values, "stop" if ids[-1] in stops else "length")

    def answers(self, requests):
        for request in requests:
            if request["kind"] == "sample":
                yield self.draw(request)
                continue
            prompt, response = list(request["prompt_token_ids"]), list(request["response_token_ids"])
            raw = self.logprobs(request["adapter"], prompt + response)
            start = len(prompt) - 1
            yield answer_of(request, logprobs=[float(raw[start + i, token]) for i, token in enumerate(response)])


ENGINES = {"vllm": Vllm, "transformers": Transformers}


class Actor:
    """Worker of Ray Data: a batch of requests in, their answers out."""

    def __init__(self, options):
        self.worker = ENGINES[options["engine"]](options)

    def __call__(self, batch):
        return pa.Table.from_pylist(list(self.worker.answers(batch.to_pylist())), schema=SCHEMA)


def answered(folder):
    """Ids that the folder answers already."""
    found = set()
    for file in folder.glob("*.parquet"):
        found.update(pq.read_table(file, columns=["request_id"]).column(0).to_pylist())
    return found


def event(**fields):
    print(json.dumps({"dualign_bulk": fields.pop("event"), **fields}), flush=True)


def alone(requests, folder, options, size):
    """This process as the one worker; each batch is a file, whole or not there."""
    worker = ENGINES[options["engine"]](options)
    for start in range(0, len(requests), size):
        rows = list(worker.answers(requests[start : start + size]))
        name = f"part-{time.time_ns()}-{uuid.uuid4().hex[:8]}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / f".{name}")
        os.replace(folder / f".{name}", folder / name)
        event(event="progress", done=min(start + size, len(requests)), total=len(requests))


def on_ray(requests, folder, options, arguments):
    """Actors of Ray Data as workers; a file of answers for every block, whole or not there."""
    import ray

    ray.init(ignore_reinit_error=True, log_to_driver=False)
    blocks = max(arguments.workers, -(-len(requests) // arguments.batch_size))
    data = ray.data.from_arrow(pa.Table.from_pylist(requests)).repartition(blocks)
    data.map_batches(
        Actor,
        fn_constructor_kwargs={"options": options},
        batch_size=arguments.batch_size,
        batch_format="pyarrow",
        concurrency=arguments.workers,
        num_gpus=arguments.gpus_per_worker,
    ).write_parquet(str(folder))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("requests", type=Path)
    parser.add_argument("answers", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--engine", choices=sorted(ENGINES), default="vllm")
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--gpus-per-worker", type=float, default=0)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--max-model-len", type=int)
    parser.add_argument("--max-lora-rank", type=int, default=16)
    parser.add_argument("--enforce-eager", action="store_true")
    arguments = parser.parse_args()
    if arguments.workers != 1 and not arguments.ray:
        parser.error("--workers needs --ray")

    folder = arguments.answers
    folder.mkdir(parents=True, exist_ok=True)
    rows = pq.read_table(arguments.requests).to_pylist()
    done = answered(folder)
    requests = [row for row in rows if row["request_id"] not in done]
    models = {row["model"] for row in requests}
    if arguments.model is None and len(models) > 1:
        parser.error(f"the requests are for {len(models)} models: answer them one after the other, by --model")
    options = {
        "model": arguments.model or next(iter(models), None),
        "engine": arguments.engine,
        "adapters": sorted({row["adapter"] for row in requests if row["adapter"]}),
        "dtype": arguments.dtype,
        "gpus": arguments.gpus_per_worker,
        "max_model_len": arguments.max_model_len,
        "max_lora_rank": arguments.max_lora_rank,
        "eager": arguments.enforce_eager,
    }
    event(event="start", requests=len(rows), answered=len(rows) - len(requests), engine=arguments.engine)
    begin = time.time()
    if requests:
        if arguments.ray:
            on_ray(requests, folder, options, arguments)
        else:
            alone(requests, folder, options, arguments.batch_size)
    missing = {row["request_id"] for row in rows} - answered(folder)
    event(event="done", answered=len(rows) - len(missing), missing=len(missing), seconds=time.time() - begin)
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()

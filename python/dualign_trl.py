# /// script
# requires-python = ">=3.10"
# dependencies = [
#   "accelerate==1.15.0",
#   "datasets==5.2.0",
#   "peft==0.21.2",
#   "torch==2.15.0",
#   "transformers==5.23.0",
#   "trl==1.16.0",
# ]
# ///
"""DPO of dualign by TRL: one training, described by a job folder.

usage: python dualign_trl.py JOB [--resume] [--output DIR] [--ray]

JOB holds job.json (options, named as TRL, PEFT and transformers name them), train.parquet and eval.parquet (a pair a
row: token ids, the probability that chosen is better, the target of the regression loss, log-probabilities under the
reference), order.parquet (rows in training order, with the share of each in its step's loss) and start/ (the adapter
to start from). The same folder runs on one process, under torchrun, accelerate launch, Slurm, or on Ray with --ray.

DPOTrainer's loop, optimizer, distribution and checkpoints do the work. Four things differ from it: token ids pass
through as they are, reference log-probabilities are those of the rows, rows come in the order of order.parquet, and the
loss knows soft labels, regression targets and a temperature.

Every event is a line of JSON that begins with {"dualign": N, N counting them: on standard output, and in events.jsonl.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shutil
import sys
from pathlib import Path

SURE = 1e-12


class Events:
    """Lines of JSON on standard output and in a file, from the first process only."""

    def __init__(self, first: bool, file: Path | None = None):
        self.first = first
        self.file = file
        self.count = 0

    def emit(self, event: str, **fields) -> None:
        if not self.first:
            return
        self.count += 1
        line = json.dumps({"dualign": self.count, "event": event, **fields})
        print(line, flush=True)
        if self.file:
            with self.file.open("a") as file:
                file.write(line + "\n")


def share_of_processes(batch: int, accumulation: int, processes: int) -> tuple[int, int]:
    """Rows of a pass on one device and passes of a step, so that a step has batch * accumulation rows in all."""
    rows = batch * accumulation
    for size in range(batch, 0, -1):
        if rows % (processes * size) == 0:
            return size, rows // (processes * size)
    raise SystemExit(f"{rows} rows of a step cannot be shared out evenly among {processes} processes")


def batches_of(order: dict, epoch: int, rank: int, *, rows_per_step: int, processes: int, size: int) -> list:
    """Passes of one process in an epoch: lists of (row, weight). Filling rows have weight 0."""
    rows = order["rows"][epoch]
    wide = size * processes
    found = []
    for start in range(0, len(rows), rows_per_step):
        step = list(rows[start : start + rows_per_step])
        step += [(step[0][0], 0.0)] * (-len(step) % wide)
        for at in range(0, len(step), wide):
            found.append(step[at + rank * size : at + (rank + 1) * size])
    return found


def pair_losses(kind: str, z, *, probability, target, beta: float, smoothing: float):
    """Loss of every pair, from z: the difference of its log-ratios, chosen minus rejected (per token for ipo)."""
    import torch
    import torch.nn.functional as F

    if kind == "regression":
        return (z - target) ** 2
    if kind == "exo_pair":
        p = (probability + smoothing * (1 - 2 * probability)).clamp(SURE, 1 - SURE)
        t = beta * z
        q = torch.sigmoid(t)
        return q * (F.logsigmoid(t) - p.log().to(z.dtype)) + (1 - q) * (F.logsigmoid(-t) - torch.log1p(-p).to(z.dtype))
    if kind == "robust":
        p = (probability - smoothing) / (1 - 2 * smoothing)
    elif kind == "hinge":
        p = probability
    else:
        p = probability + smoothing * (1 - 2 * probability)
    one = {
        "sigmoid": lambda t: F.softplus(-beta * t),
        "robust": lambda t: F.softplus(-beta * t),
        "hinge": lambda t: F.relu(1 - beta * t),
        "ipo": lambda t: (t - 1 / (2 * beta)) ** 2,
    }[kind]
    p = p.to(z.dtype)
    return p * one(z) + (1 - p) * one(-z)


def read_rows(path: Path) -> list:
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist() if path.exists() else []


def read_order(path: Path) -> dict:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    epochs: dict = {}
    for epoch, row, weight in zip(*(table[name].to_pylist() for name in ("epoch", "row", "weight"))):
        epochs.setdefault(epoch, []).append((row, weight))
    return {"rows": [epochs[epoch] for epoch in sorted(epochs)]}


def collate(rows: list, pad: int) -> dict:
    """Batch of pairs: the chosen sequences, then the rejected ones, padded on the right."""
    import torch

    ids = [r["prompt_ids"] + r[f"{side}_ids"] for side in ("chosen", "rejected") for r in rows]
    marks = [
        [0] * len(r["prompt_ids"]) + [1] * len(r[f"{side}_ids"]) for side in ("chosen", "rejected") for r in rows
    ]
    longest = max(map(len, ids))
    column = lambda name: torch.tensor([math.nan if r[name] is None else r[name] for r in rows], dtype=torch.float64)
    return {
        "input_ids": torch.tensor([one + [pad] * (longest - len(one)) for one in ids]),
        "attention_mask": torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one in ids]),
        "completion_mask": torch.tensor([one + [0] * (longest - len(one)) for one in marks]),
        **{name: column(name) for name in ("weight", "probability", "target", "ref_chosen_logps", "ref_rejected_logps")},
    }


def make_trainer(base):
    """Subclass of DPOTrainer; made here so that the module can be imported where TRL is not."""
    import torch
    from torch.utils.data import DataLoader

    names = ("loss", "rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen", "logps/rejected")

    class Batches:
        """Batch sampler of one process; transformers names the epoch."""

        def __init__(self, plan):
            self.plan = plan
            self.epoch = 0
            # Where transformers looks for what it tells the epoch.
            self.batch_sampler = self

        def set_epoch(self, epoch):
            self.epoch = epoch

        def __iter__(self):
            return iter(self.plan(min(self.epoch, self.plan.epochs - 1)))

        def __len__(self):
            return len(self.plan(0))

    class Plan:
        def __init__(self, order, rank, **shape):
            self.order, self.rank, self.shape = order, rank, shape
            self.epochs = len(order["rows"])

        def __call__(self, epoch):
            return batches_of(self.order, epoch, self.rank, **self.shape)

    class Rows:
        def __init__(self, rows):
            self.rows = rows

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, key):
            row, weight = key
            return {**self.rows[row], "weight": weight}

    class DualignTrainer(base):
        def __init__(self, *args, job, rows, held, order, events, work, **more):
            self.job, self.rows, self.held, self.order, self.events, self.work = job, rows, held, order, events, work
            super().__init__(*args, **more)
            self.ref_model = None
            model = self.model
            if hasattr(model, "peft_config") and "ref" in model.peft_config:
                model.delete_adapter("ref")
            if job["temperature"] != 1:
                from trl.trainer.utils import add_fused_lm_head

                inner = model.get_base_model() if hasattr(model, "get_base_model") else model
                add_fused_lm_head(inner, temperature=job["temperature"])
            # The loss is a sum of weighted rows: the trainer must not divide it by a count of its own.
            self.model_accepts_loss_kwargs = False
            self.sums = torch.zeros(len(names) + 1, dtype=torch.float64)

        # Token ids and reference log-probabilities are those of the rows.
        def _prepare_dataset(self, dataset, *_, **__):
            return dataset

        def _precompute_ref_logps(self, dataset, *_, **__):
            return dataset

        @property
        def shape(self):
            processes = self.accelerator.num_processes
            size, _ = share_of_processes(self.job["per_device_train_batch_size"], self.job["gradient_accumulation_steps"], processes)
            return dict(
                rows_per_step=self.job["per_device_train_batch_size"] * self.job["gradient_accumulation_steps"],
                processes=processes,
                size=size,
            )

        def get_train_dataloader(self):
            plan = Plan(self.order, self.accelerator.process_index, **self.shape)
            return DataLoader(Rows(self.rows), batch_sampler=Batches(plan), collate_fn=self.collate)

        def collate(self, rows):
            return collate(rows, self.job["pad_token_id"])

        def log_probs(self, model, inputs):
            """Log-probability of every sequence's completion, in nats."""
            labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
            out = model(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                use_cache=False,
                labels=labels,
                fused_lm_head=True,
            )
            width = labels.size(1) - 1
            # Summed in float64: the sum of a long response in float32 is off by more than its tokens are.
            return out.log_probs[:, -width:].to(torch.float64).sum(dim=1).chunk(2, dim=0)

        def _compute_loss(self, model, inputs, return_outputs):
            loss = self.weighted(model, inputs)
            # Gradients are averaged over passes and processes; the weights say what each row counts.
            passes = getattr(self, "current_gradient_accumulation_steps", None) or 1
            loss = loss * passes * self.accelerator.num_processes
            return (loss, {}) if return_outputs else loss

        def weighted(self, model, inputs):
            """Sum of the pairs' losses by their weights; figures are added to `sums`."""
            chosen, rejected = self.log_probs(model, inputs)
            beta, kind = self.job["beta"], self.job["loss_type"]
            device = chosen.device
            reference = [inputs[name].to(device) for name in ("ref_chosen_logps", "ref_rejected_logps")]
            ratios = [chosen - reference[0].to(torch.float64), rejected - reference[1].to(torch.float64)]
            if kind == "ipo":
                counts = inputs["completion_mask"].sum(dim=1).clamp(min=1).chunk(2, dim=0)
                z = ratios[0] / counts[0] - ratios[1] / counts[1]
            else:
                z = ratios[0] - ratios[1]
            losses = pair_losses(
                kind,
                z,
                probability=inputs["probability"].to(device),
                target=inputs["target"].to(device).to(torch.float64),
                beta=beta,
                smoothing=self.job["label_smoothing"],
            )
            # A filling row must not make what it multiplies count, nor a not-a-number of it spread.
            weight = inputs["weight"].to(device)
            part = torch.where(weight > 0, losses * weight.to(losses.dtype), torch.zeros_like(losses))
            with torch.no_grad():
                rewards = [(beta * r).double() for r in ratios]
                figures = [
                    losses.double(), rewards[0], rewards[1], (rewards[0] > rewards[1]).double(), rewards[0] - rewards[1],
                    chosen.double(), rejected.double(),
                ]
                sums = [torch.where(weight > 0, f * weight, torch.zeros_like(weight)).sum() for f in figures]
                counted = (weight > 0).repeat(2)
                sums.append((inputs["attention_mask"].sum(dim=1).to(device) * counted).sum().double())
                self.sums += torch.stack(sums).cpu()
            # DeepSpeed wants a loss of a type that it knows.
            return part.sum().float()

        def drain(self):
            """Figures of all processes since the last call: means by name, and the tokens."""
            sums = self.accelerator.reduce(self.sums.to(self.accelerator.device, dtype=torch.float64), "sum").tolist()
            self.sums = torch.zeros_like(self.sums)
            return dict(zip(names, sums)), int(round(sums[-1]))

        def log(self, logs, start_time=None):
            if "loss" not in logs:
                return
            step = self.state.global_step
            figures, tokens = self.drain()
            norm = float(logs.get("grad_norm") or 0.0)
            if not (math.isfinite(figures["loss"]) and math.isfinite(norm)):
                raise FloatingPointError(
                    f"step {step}: the loss is {figures['loss']} and its gradient's norm {norm}; lower the learning rate"
                )
            rate = float(logs["learning_rate"])
            self.events.emit("step", step=step, steps=self.state.max_steps, learning_rate=rate, grad_norm=norm, tokens=tokens, **figures)
            every = self.job["eval_steps"]
            if self.held and (step == self.state.max_steps or (every > 0 and step % every == 0)):
                self.events.emit("eval", step=step, **self.measure(self.held))

        def measure(self, rows):
            """Means over rows that are not trained on."""
            order = {"rows": [[(i, 1 / len(rows)) for i in range(len(rows))]]}
            with self.still():
                for batch in self.passes(order):
                    self.weighted(self.model_wrapped, self.given(rows, batch))
            return self.drain()[0]

        def given(self, rows, batch):
            inputs = self.collate([{**rows[i], "weight": w} for i, w in batch])
            return {name: value.to(self.accelerator.device) if value.dtype != torch.float64 else value for name, value in inputs.items()}

        def passes(self, order):
            shape = self.shape
            return batches_of(order, 0, self.accelerator.process_index, **{**shape, "rows_per_step": shape["size"] * shape["processes"]})

        def still(self):
            """Context in which the model computes without dropout and without gradients."""
            import contextlib

            model = self.model_wrapped

            @contextlib.contextmanager
            def context():
                training = model.training
                model.eval()
                try:
                    with torch.no_grad(), self.compute_loss_context_manager():
                        yield
                finally:
                    model.train(training)

            return context()

        def reference(self):
            """Log-probabilities of the model as it starts, for rows without: once, and kept in the work folder."""
            missing = [r for r in self.rows + self.held if r["ref_chosen_logps"] is None]
            if not missing:
                return
            file = self.work / "reference.json"
            known = json.loads(file.read_text()) if file.exists() else None
            if known is None or len(known) != len(missing):
                if self.state.global_step > 0:
                    raise RuntimeError(f"{file} is missing: start the training anew")
                known = self.own_logps(missing, report=True)
                if self.accelerator.is_main_process:
                    draft = file.with_suffix(".tmp")
                    draft.write_text(json.dumps(known))
                    os.replace(draft, file)
            for row, (chosen, rejected) in zip(missing, known):
                row["ref_chosen_logps"], row["ref_rejected_logps"] = chosen, rejected

        def own_logps(self, rows, report=False):
            """Log-probabilities of rows under the model as it is, on every process."""
            size, processes = self.shape["size"], self.accelerator.num_processes
            order = {"rows": [[(i, 1.0) for i in range(len(rows))]]}
            found = [None] * len(rows)
            with self.still():
                for n, batch in enumerate(self.passes(order)):
                    both = torch.stack(self.log_probs(self.model_wrapped, self.given(rows, batch)), dim=1)
                    index = torch.tensor([i for i, _ in batch], device=both.device)
                    index, both = self.accelerator.gather(index), self.accelerator.gather(both)
                    for i, values in zip(index.tolist(), both.double().tolist()):
                        found[i] = values
                    if report:
                        self.events.emit("reference", done=min((n + 1) * size * processes, len(rows)), total=len(rows))
            return found

        def compare(self):
            """Distance of given reference log-probabilities from this engine's own, on the first rows."""
            if self.state.global_step > 0 or self.rows[0]["ref_chosen_logps"] is None:
                return
            rows = [self.rows[i] for i, _ in self.order["rows"][0][: 2 * self.shape["rows_per_step"]]]
            own = self.own_logps(rows)
            gaps = [abs(a - b) for r, o in zip(rows, own) for a, b in zip(o, (r["ref_chosen_logps"], r["ref_rejected_logps"]))]
            self.events.emit("gap", mean=sum(gaps) / len(gaps), largest=max(gaps), rows=len(rows))

    return DualignTrainer


def last_checkpoint(folder: Path) -> Path | None:
    """Newest checkpoint that was written to its end."""
    found = [p for p in folder.glob("checkpoint-*") if (p / "complete").exists()]
    return max(found, key=lambda p: int(p.name.split("-")[1]), default=None)


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() if sys.version_info >= (3, 11) else hashlib.sha256(stream.read()).hexdigest()


def train(folder: Path, work: Path, resume: bool) -> None:
    """Training of a job folder to its end; `work` gets checkpoints and result/."""
    job = json.loads((folder / "job.json").read_text())
    rank = int(os.environ.get("RANK", "0"))
    work.mkdir(parents=True, exist_ok=True)
    events = Events(rank == 0, work / "events.jsonl")
    try:
        train_job(folder, work, resume, job, events)
    except (Exception, SystemExit) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        if not (isinstance(error, SystemExit) and error.code in (None, 0)):
            Events(True).emit("error", message=lines[0][:500], kind=type(error).__name__, rank=rank)
        raise


def train_job(folder: Path, work: Path, resume: bool, job: dict, events: Events) -> None:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    result = work / "result"
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    size, passes = share_of_processes(job["per_device_train_batch_size"], job["gradient_accumulation_steps"], processes)
    gpu = torch.cuda.is_available()
    args = DPOConfig(
        output_dir=str(work),
        per_device_train_batch_size=size,
        gradient_accumulation_steps=passes,
        learning_rate=job["learning_rate"],
        lr_scheduler_type=job["lr_scheduler_type"],
        warmup_steps=job["warmup_steps"],
        weight_decay=job["weight_decay"],
        adam_beta1=job["adam_beta1"],
        adam_beta2=job["adam_beta2"],
        adam_epsilon=job["adam_epsilon"],
        # The norm is reported also where nothing is clipped.
        max_grad_norm=job["max_grad_norm"] or 1e30,
        max_steps=job["max_steps"],
        gradient_checkpointing=job["gradient_checkpointing"],
        bf16=job["bf16"] and gpu,
        fp16=False,
        use_cpu=not gpu,
        seed=job["seed"],
        data_seed=job["seed"],
        logging_steps=1,
        save_strategy="steps" if job["save_steps"] > 0 else "no",
        save_steps=max(1, job["save_steps"]),
        save_total_limit=2,
        eval_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_num_workers=0,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        # Dropout of the base model is off, that of the adapter stays.
        disable_dropout=False,
        precompute_ref_log_probs=not job["use_peft"],
        beta=job["beta"],
        max_length=None,
    )
    where = job["model"]
    tokenizer = AutoTokenizer.from_pretrained(where)
    model = AutoModelForCausalLM.from_pretrained(where, dtype=getattr(torch, job["dtype"]))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "attn_dropout_p"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    if job["use_peft"]:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, folder / "start", is_trainable=True)
    job["pad_token_id"] = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (tokenizer.eos_token_id or 0)

    rows, held, order = read_rows(folder / "train.parquet"), read_rows(folder / "eval.parquet"), read_order(folder / "order.parquet")
    # What DPOTrainer is shown of the rows; batches come from the rows themselves.
    shown = Dataset.from_list([{name: rows[0][name] for name in ("prompt_ids", "chosen_ids", "rejected_ids")}] * len(rows))

    class Begin(TrainerCallback):
        def on_train_begin(self, *_, **__):
            trainer.reference()
            trainer.compare()

        def on_save(self, args, state, *_, **__):
            trainer.accelerator.wait_for_everyone()
            if trainer.accelerator.is_main_process:
                (work / f"checkpoint-{state.global_step}" / "complete").write_text("")

    trainer = make_trainer(DPOTrainer)(
        model=model,
        args=args,
        train_dataset=shown,
        processing_class=tokenizer,
        callbacks=[Begin()],
        job=job,
        rows=rows,
        held=held,
        order=order,
        events=events,
        work=work,
    )
    import accelerate, peft, transformers, trl

    versions = {m.__name__: m.__version__ for m in (torch, transformers, trl, peft, accelerate)}
    events.emit(
        "start",
        processes=trainer.accelerator.num_processes,
        device=torch.cuda.get_device_name() if gpu else "cpu",
        distribution=str(trainer.accelerator.distributed_type.value),
        per_device_train_batch_size=size,
        gradient_accumulation_steps=passes,
        versions=versions,
    )
    checkpoint = last_checkpoint(work) if resume else None
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.save_model(str(result))
    trainer.accelerator.wait_for_everyone()
    if trainer.accelerator.is_main_process:
        for name in ("README.md", "training_args.bin"):
            (result / name).unlink(missing_ok=True)
        files = {p.name: sha256(p) for p in sorted(result.iterdir()) if p.is_file() and p.name != "done.json"}
        (result / "done.json").write_text(json.dumps({"fingerprint": job["fingerprint"], "files": files}))
        events.emit("result", folder=str(result), files=files)
    trainer.accelerator.wait_for_everyone()


def prepare(work: Path, fingerprint: str, resume: bool) -> bool:
    """Work folder of a training, emptied where it is not gone on with; true where its result is there already."""
    done = work / "result" / "done.json"
    if not resume:
        for path in [*work.glob("checkpoint-*"), work / "result"]:
            shutil.rmtree(path, ignore_errors=True)
        for name in ("reference.json", "events.jsonl"):
            (work / name).unlink(missing_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    return done.exists() and json.loads(done.read_text())["fingerprint"] == fingerprint


def worker(config: dict) -> None:
    """One worker of Ray Train."""
    folder = Path(config["folder"] or Path(__file__).parent)
    work = Path(config["work"])
    # A worker that was lost, or a whole job, goes on from the last checkpoint.
    train(folder, work, resume=True)
    if config["bring_back"] and int(os.environ.get("RANK", "0")) == 0:
        bring_back(work / "result", config["fingerprint"])


def bring_back(result: Path, fingerprint: str) -> None:
    """Puts the result's files where Ray's dashboard serves them: into this node's log folder, checksums beside them."""
    import ray

    node = ray._private.worker._global_node
    logs = Path(node.get_logs_dir_path())
    context = ray.get_runtime_context()
    events = Events(True)
    events.count = 10**9
    for file in sorted(result.iterdir()):
        if file.is_file() and file.name != "done.json":
            name = f"dualign-{fingerprint[:16]}-{file.name}"
            shutil.copyfile(file, logs / name)
            events.emit("file", name=file.name, node_id=context.get_node_id(), filename=name, sha256=sha256(file), bytes=file.stat().st_size)


def on_ray(folder: Path | None, options: dict) -> None:
    """Driver of a Ray job: workers by Ray Train, each with this module by its name."""
    import dualign_trl
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    ray.init()
    job = json.loads(((folder or Path(__file__).parent) / "job.json").read_text())
    work = Path(options["work"])
    gpus = ray.cluster_resources().get("GPU", 0)
    use_gpu = gpus > 0 if options["use_gpu"] is None else options["use_gpu"]
    # On a cluster of several nodes `work` is on shared storage; else on the one node that there is.
    if not prepare(work, job["fingerprint"], options["resume"]):
        config = {"folder": str(folder) if folder else None, "work": str(work), "bring_back": options["bring_back"], "fingerprint": job["fingerprint"]}
        TorchTrainer(
            dualign_trl.worker,
            train_loop_config=config,
            scaling_config=ScalingConfig(num_workers=options["num_workers"], use_gpu=use_gpu),
            run_config=RunConfig(
                name="ray_train",
                storage_path=str(work),
                failure_config=FailureConfig(max_failures=options["max_failures"]),
            ),
        ).fit()
    elif options["bring_back"]:
        bring_back(work / "result", job["fingerprint"])


def main() -> None:
    parser = argparse.ArgumentParser(description="DPO of dualign by TRL, from a job folder")
    parser.add_argument("job", type=Path, nargs="?", default=None, help="job folder; by default where this file lies")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--output", type=Path, help="gets checkpoints and result/; by default JOB/work")
    parser.add_argument("--ray", metavar="JSON", help="as a Ray job: options in JSON")
    given = parser.parse_args()
    folder = (given.job or Path(__file__).parent).resolve()
    if given.ray:
        on_ray(given.job and folder, json.loads(given.ray))
        return
    work = (given.output or folder / "work").resolve()
    job = json.loads((folder / "job.json").read_text())
    end_with(os.environ.get("DUALIGN_PARENT"))
    done = work / "result" / "done.json"
    if given.resume and done.exists() and json.loads(done.read_text())["fingerprint"] == job["fingerprint"]:
        return
    if os.environ.get("RANK", "0") == "0":
        prepare(work, job["fingerprint"], given.resume)
    train(folder, work, given.resume)


def end_with(parent: str | None) -> None:
    """Ends this process soon after the one that launched it: nobody would hear of its end."""
    if not parent or sys.platform == "win32":
        return
    import threading
    import time

    def watch() -> None:
        while True:
            time.sleep(1)
            try:
                os.kill(int(parent), 0)
            except ProcessLookupError:
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main()

"""The parts of gpu.py: each takes the folder with text and models, and a scale, and gives the rows of a table."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import torch
import torch.distributed as dist
from rich.console import Console
from torch.nn.parallel import DistributedDataParallel
from transformers.utils import is_flash_attn_2_available

from cratelm.artifacts import Artifact, read_json
from cratelm.corpus.config import CorpusConfig
from cratelm.corpus.contexts import context_tokens
from cratelm.corpus.tokens import tokenize
from cratelm.explain.config import ExplainConfig
from cratelm.explain.explain import explain
from cratelm.models.build import build_model
from cratelm.models.devices import device_of
from cratelm.models.flops import forward_flops, meta_model
from cratelm.presets import train_preset
from cratelm.progress import Progress
from cratelm.records.choose_excerpts import Planner
from cratelm.records.config import RecordConfig
from cratelm.records.pass1_statistics import FirstPass
from cratelm.records.pass2_excerpts import SecondPass
from cratelm.records.record import record
from cratelm.records.recording import Recording
from cratelm.records.store import read_layers
from cratelm.score.config import ScoreConfig
from cratelm.score.score import score
from cratelm.shapes import ShapeConfig
from cratelm.training.config import TrainConfig, TrainingConfig
from cratelm.training.train import train

ROOT = Path(__file__).parents[1]
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
VOCABULARY = 50304
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Operations a second in bf16, dense, by the maker's figures; of another device a product of matrices is timed."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Scale:
    """How much is computed."""

    width: int | None
    """In place of the paper's width."""
    layers: int
    """At most."""
    context: int
    windows: int
    steps: int
    recorded: int
    """Tokens of each half that are recorded."""
    documents: int | None


LARGE = Scale(width=None, layers=12, context=1024, windows=16, steps=20, recorded=250_000, documents=None)
SMALL = Scale(width=96, layers=2, context=128, windows=2, steps=3, recorded=4_000, documents=1500)


def paper_shape(layers: int, scale: Scale) -> ShapeConfig:
    """The paper's shape of so many layers, at this scale."""
    shape = train_preset(f"paper-{layers}l").shape
    layers = min(layers, scale.layers)
    return replace(shape, layers=layers, width=scale.width or shape.width, context=scale.context)


def now() -> float:
    """The time at which the device has done all that it was given."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_speed() -> float:
    """Operations a second that the device can do in bf16."""
    name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else ""
    known = [speed for model, speed in PEAKS.items() if model in name]
    return known[0] if known else _timed_product()


def _timed_product(size: int = 2048, rounds: int = 5) -> float:
    one, other = (torch.randn(size, size, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(rounds + 1):
        began = now()
        one @ other
        seconds.append(now() - began)
    return 2 * size**3 / min(seconds[1:])


def step_of(model: torch.nn.Module, windows: int, context: int) -> Callable[[], torch.Tensor]:
    """A training step in bf16 on random tokens, which gives its loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ids = torch.randint(0, VOCABULARY, (windows, context + 1), generator=torch.Generator().manual_seed(0)).to(DEVICE)

    def step() -> torch.Tensor:
        with torch.autocast(DEVICE.type, torch.bfloat16):
            loss = model(input_ids=ids[:, :-1], shift_labels=ids[:, 1:], use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return step


def training(layers: int) -> Callable[[Path, Scale], list[Row]]:
    """The part that trains the pair with so many layers, by each kernel of attention that is installed."""

    def part(folder: Path, scale: Scale) -> list[Row]:
        kernels = ["sdpa", *(["flash_attention_2"] if DEVICE.type == "cuda" and is_flash_attn_2_available() else [])]
        return [_train_row(name, layers, kernel, scale) for name in ("crate", "gpt2") for kernel in kernels]

    return part


def _train_row(name: str, layers: int, kernel: str, scale: Scale) -> Row:
    shape = paper_shape(layers, scale)
    model = build_model(name, shape, VOCABULARY, 0, 0).train().to(DEVICE)
    model.set_attn_implementation(kernel)
    step = step_of(torch.compile(model, dynamic=False), scale.windows, shape.context)
    for _ in range(3):
        step()
    began = now()
    for _ in range(scale.steps):
        step()
    speed = scale.steps * scale.windows * shape.context / (now() - began)
    operations = 3 * forward_flops(meta_model(name, shape, VOCABULARY), shape.context)
    row = {"model": name, "layers": shape.layers, "width": shape.width, "attention": kernel}
    row |= {"tokens/s": round(speed), "share of the peak": f"{speed * operations / peak_speed():.1%}"}
    memory = torch.cuda.max_memory_allocated() / 1e9 if DEVICE.type == "cuda" else 0
    return row | ({"GB": round(memory, 1)} if memory else {})


def text_of(folder: Path, scale: Scale) -> Artifact:
    """The film reviews as GPT-2's tokens, made once."""
    shares = {"explain_share": 0.35, "score_share": 0.35}
    config = CorpusConfig(tokenizer="gpt2", documents=scale.documents, **shares)
    return tokenize(config, folder / "tokens", Progress(Console(quiet=True)))


def random_model(folder: Path, scale: Scale, layers: int) -> Artifact:
    """CRATE before training, made once."""
    config = TrainConfig(shape=paper_shape(layers, scale), training=TrainingConfig(tokens=0))
    return train(config, text_of(folder, scale), folder / f"crate-{layers}l", Progress(Console(quiet=True)))


def recording(layers: int) -> Callable[[Path, Scale], list[Row]]:
    """The part that records CRATE with so many layers."""

    def part(folder: Path, scale: Scale) -> list[Row]:
        model, tokens = random_model(folder, scale, layers), text_of(folder, scale)
        with tempfile.TemporaryDirectory() as shards:
            given = (RecordConfig(tokens=scale.recorded), model.path / "model", tokens.path, Path(shards), DEVICE.type)
            first, second = FirstPass(*given), SecondPass(*given)
            first.recording.require_sense()
            numbers = range(len(first.recording.shards))
            forward(first.recording)  # the first pass over anything is slower
            seconds = {"bare": _timed(lambda: forward(first.recording))}
            seconds["first pass"] = _timed(lambda: [first(number) for number in numbers])
            Planner(*given).write()
            seconds["second pass"] = _timed(lambda: [second(number) for number in numbers])
        read = sum(int(half.contexts.length.sum()) for half in first.recording.halves.values())
        speeds = {f"{name}, tokens/s": round(read / time) for name, time in seconds.items()}
        share = seconds["bare"] / (seconds["first pass"] + seconds["second pass"])
        return [
            {"layers": model.config["shape"]["layers"], "tokens": read}
            | speeds
            | {"share of the bare pass": f"{share:.0%}"}
        ]

    return part


def _timed(work: Callable[[], object]) -> float:
    began = now()
    work()
    return now() - began


@torch.inference_mode()
def forward(recording: Recording) -> None:
    """The model alone, without its LM head, over all batches of both halves."""
    for shard in recording.shards:
        for batch in shard.batches:
            ids = torch.from_numpy(context_tokens(shard.half.side, shard.half.contexts, batch))
            recording.network.base_model(input_ids=ids.to(device_of(recording.network)), use_cache=False)


def scoring(folder: Path, scale: Scale) -> list[Row]:
    """Explain by `table` and `graph`, and score, the units of CRATE-2L; processors do this, whatever the device."""
    quiet, model = Progress(Console(quiet=True)), random_model(folder, scale, 2)
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        config = RecordConfig(tokens=scale.recorded)
        records = record(config, model, text_of(folder, scale), out / "records", quiet)
        began = time.perf_counter()
        explanations = explain(ExplainConfig(explainer="table,graph"), records, out / "explanations", quiet)
        score(ScoreConfig(), records, explanations, out / "scores", quiet)
        seconds = time.perf_counter() - began
        units = sum(read_layers(records))
    return [{"units": units, "seconds": round(seconds, 1), "units/s": round(units / seconds, 1)}]


def half_precision(folder: Path, scale: Scale) -> list[Row]:
    """Train in fp16 by the command, which says how it went."""
    tokens, context = text_of(folder, scale), scale.context
    with tempfile.TemporaryDirectory() as out:
        settings = {"shape.context": context, "training.precision": "fp16", "training.tokens": 40 * 8 * context}
        options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        command = [sys.executable, "-c", "from cratelm.cli import main; main()", "train", *options]
        done = run_command([*command, "--tokens", str(tokens.path), "--out", f"{out}/model"])
        losses = read_json(Path(out, "model", "training.json")) if not done.returncode else {}
    said = done.stderr.strip().splitlines()[-1] if done.returncode else f"{losses['nats_per_token']:.2f} nats a token"
    return [{"status": done.returncode, "result": said}]


def one_process_group(folder: Path, scale: Scale) -> list[Row]:
    """Losses of a DDP group of one process next to those of the plain loop."""
    backend = "nccl" if DEVICE.type == "cuda" else "gloo"
    losses = {}
    with tempfile.TemporaryDirectory() as meeting:
        dist.init_process_group(backend, init_method=f"file://{meeting}/store", rank=0, world_size=1)
        for name, wrap in {"plain": lambda model: model, "group": DistributedDataParallel}.items():
            model = build_model("crate", paper_shape(2, scale), VOCABULARY, 0, 0).train().to(DEVICE)
            step = step_of(wrap(model), scale.windows, scale.context)
            losses[name] = torch.stack([step() for _ in range(5)])
        dist.destroy_process_group()
    difference = float((losses["plain"] - losses["group"]).abs().max())
    return [{"backend": backend, "steps": 5, "largest difference of the losses": f"{difference:.1e}"}]


def cuda_tests(folder: Path, scale: Scale) -> list[Row]:
    """The tests that need a GPU; where there is none they are skipped."""
    done = run_command([sys.executable, "-m", "pytest", "-m", "cuda", "tests/cuda"])
    return [{"status": done.returncode, "result": done.stdout.strip().splitlines()[-1].strip("= ")}]


def run_command(command: list[str]) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, from the repository's root."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


PARTS: dict[str, Callable[[Path, Scale], list[Row]]] = {
    "train-12l": training(12),
    "train-6l": training(6),
    "train-2l": training(2),
    "record-12l": recording(12),
    "record-2l": recording(2),
    "score": scoring,
    "fp16": half_precision,
    "one-process-group": one_process_group,
    "tests": cuda_tests,
}
"""What is measured, the most wanted first."""

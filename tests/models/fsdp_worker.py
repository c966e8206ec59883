"""One of two gloo processes: loads models sharded by their FSDP plans, takes a step of each, compares with one process.

Run by test_distributed.py: torchrun --nproc-per-node 2 fsdp_worker.py FOLDER...
"""

import sys

import torch
import torch.distributed as dist
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM
from transformers.distributed import DistributedConfig

import cratelm.models  # noqa: F401


def step(model: torch.nn.Module, ids: torch.Tensor) -> float:
    """One step of plain gradient descent; gives the loss before it."""
    loss = model.train()(input_ids=ids, labels=ids).loss
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
    return loss.item()


def compare(folder: str, rank: int) -> None:
    """The step of a model on both processes and on this one."""
    whole = AutoModelForCausalLM.from_pretrained(folder)
    sharded = AutoModelForCausalLM.from_pretrained(folder, distributed_config=DistributedConfig(fsdp_size=2))
    assert sum(isinstance(module, FSDPModule) for module in sharded.modules()) >= 4  # root, embedding, two layers
    assert all(isinstance(parameter, DTensor) for parameter in sharded.parameters())
    assert sharded.lm_head.weight is sharded.model.embed_tokens.weight
    ids = torch.randint(0, 61, (4, 12), generator=torch.Generator().manual_seed(0))
    expected = step(whole, ids)
    mine = torch.tensor(step(sharded, ids[2 * rank : 2 * rank + 2]))
    dist.all_reduce(mine)
    torch.testing.assert_close(mine.item() / 2, expected, atol=1e-6, rtol=1e-6)
    for (name, one), other in zip(sharded.named_parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(
            one.full_tensor(), other.data, atol=1e-5, rtol=1e-4, msg=lambda m, name=name: name + m
        )


if __name__ == "__main__":
    dist.init_process_group("gloo")
    for folder in sys.argv[1:]:
        compare(folder, dist.get_rank())
    dist.destroy_process_group()

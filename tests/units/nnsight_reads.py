"""What nnsight reads of models, in an environment of its own: python nnsight_reads.py FOLDER…

Each folder holds `model` and `names.json`, a list of sites, or of nnterp's names: `attentions_output`, `mlps_output`,
`layers_output`. It gets `read.safetensors`, or `error` where the model cannot be read.
"""

import json
import sys
import traceback
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

import cratelm.models  # noqa: F401 (registers our models)

IDS = torch.arange(14).reshape(2, 7)
NNTERP = ("attentions_output", "mlps_output", "layers_output")
RENAMED = {"crate": {"mlp_name": "coding"}}
"""What nnterp has to be told of our models' modules."""


def by_module(folder: str, sites: list[str]) -> dict[str, torch.Tensor]:
    """What passes at modules, by their names, which are given in the order in which they are called."""
    import nnsight

    traced = nnsight.NNsight(AutoModelForCausalLM.from_pretrained(folder).eval())
    with torch.no_grad(), traced.trace(IDS):
        read = {}
        for site in sites:
            module = traced.get(site.removesuffix(":in"))
            read[site] = module.input if site.endswith(":in") else module.output
        kept = nnsight.save(read)
    return {site: value if isinstance(value, torch.Tensor) else value[0] for site, value in kept.items()}


def by_standard_name(folder: str, names: list[str]) -> dict[str, torch.Tensor]:
    """What nnterp's names give, layer by layer."""
    import nnsight
    from nnterp import StandardizedTransformer
    from nnterp.rename_utils import RenameConfig

    kind = AutoModelForCausalLM.from_pretrained(folder).config.model_type
    renamed = {"rename_config": RenameConfig(**RENAMED[kind])} if kind in RENAMED else {}
    model = StandardizedTransformer(folder, device_map="cpu", dtype=torch.float32, **renamed)
    with torch.no_grad(), model.trace(IDS):
        read = {}
        for layer in range(2):
            for name in names:
                read[f"{name}.{layer}"] = getattr(model, name)[layer]
        kept = nnsight.save(read)
    return dict(kept)


def read(folder: Path) -> None:
    """Read one model."""
    model, names = str(folder / "model"), json.loads((folder / "names.json").read_text())
    found = by_standard_name(model, names) if names[0] in NNTERP else by_module(model, names)
    save_file({name: value.contiguous().clone() for name, value in found.items()}, folder / "read.safetensors")


if __name__ == "__main__":
    for given in map(Path, sys.argv[1:]):  # one process for all: it takes long to start
        try:
            read(given)
        except Exception:
            (given / "error").write_text(traceback.format_exc())

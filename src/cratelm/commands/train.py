"""`cratelm train`."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cratelm.training.config import TrainConfig


def train(
    *,
    tokens: Path,
    out: Path | None = None,
    preset: str = "laptop",
    config: Path | None = None,
    plan: bool = False,
    json: bool = False,
    settings: Annotated[TrainConfig, Parameter(name="*")] = TrainConfig(),
) -> None:
    """Train one model on tokens.

    It runs alone, or in every process that torchrun, accelerate or srun starts.

    Parameters
    ----------
    tokens
        The folder that `cratelm tokenize` made.
    out
        The model's folder. Give the same command again to resume it.
    preset
        The settings that other options change: `smoke`, `laptop`, or the paper's `paper-1l`, `paper-2l`, `paper-3l`,
        `paper-6l`, `paper-12l`.
    config
        A TOML file of settings. Options on the command line override it.
    plan
        Print the memory, operations and hours that the training would take, and train nothing.
    json
        Print the result as JSON on stdout.

    Examples
    --------
    cratelm train --preset laptop --model crate --tokens tokens --out model
    """
    from rich.console import Console

    from cratelm.artifacts import open_artifact, read_json
    from cratelm.corpus.read_tokens import read_tokenizer
    from cratelm.corpus.tokenizer import count_ids
    from cratelm.errors import InputError
    from cratelm.output import print_json
    from cratelm.progress import Progress
    from cratelm.training.cost import plan as plan_training
    from cratelm.training.processes import join_slurm, rank, world_size
    from cratelm.training.train import train as train_model

    join_slurm()
    text = open_artifact(tokens, "tokens")
    if plan:
        result = plan_training(settings, count_ids(read_tokenizer(text)), world_size())
    elif out is None:
        raise InputError("the folder of the model is missing. Give --out DIR, or --plan to train nothing.")
    else:
        with Progress(Console(quiet=True) if rank() else None) as progress:
            model = train_model(settings, text, out, progress)
        result = read_json(model.path / "training.json")
    if rank():
        return
    if json:
        print_json(result)
    else:
        _print(result)


def _print(result: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    for name, value in result.items():
        if isinstance(value, dict):
            console.print(f"{name.replace('_', ' ')}, by the assumptions in docs/training.md:")
            for key, hours in value.items():
                console.print(f"  {key}: {hours:,.2f}")
        else:
            console.print(f"{name.replace('_', ' ')}: {_shown(value)}")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

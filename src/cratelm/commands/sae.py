"""`cratelm sae`."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cratelm.loading import DEFAULT_OPENING, OpeningConfig
from cratelm.sae.config import SaeConfig


def sae(
    model: str,
    /,
    settings: Annotated[SaeConfig, Parameter(name="*")] = SaeConfig(),
    *,
    text: str,
    out: Path,
    preset: str = "topk",
    opening: Annotated[OpeningConfig, Parameter(name="*")] = DEFAULT_OPENING,
    json: bool = False,
) -> None:
    """Train sparse autoencoders on a model, and measure their quality.

    The autoencoders of all sites are trained in one pass over the text. Their quality includes how much they raise
    the model's loss. `cratelm record` and `cratelm steer` accept the folder as a model whose units are the latents.

    Parameters
    ----------
    model
        A trained model's folder; any transformers folder with a causal language model and its tokenizer; or the name
        of one on the hub, which is off unless HF_HUB_OFFLINE=0. Nothing in it is executed.
    text
        A folder that `cratelm tokenize` made with the model's tokenizer, or any corpus that it takes, such as `reviews`
        or my.txt. The autoencoders are trained on its train side and measured on its validation side.
    out
        The autoencoders' folder. Give the same command again to resume it. Tokens that have to
        be made first are written next to it, to OUT-tokens.
    preset
        The settings that other options change: `topk`, or `paper`, the recipe of arXiv 2410.16443 as far as
        SAELens supports it.
    json
        Print the quality as JSON on stdout.

    Examples
    --------
    cratelm sae my-model --text reviews --out my-model-sae --width 4x --k 32
    """
    from cratelm.artifacts import read_json
    from cratelm.models.subject import open_subject, tokens_for
    from cratelm.output import print_json
    from cratelm.progress import Progress
    from cratelm.sae.train import train_saes
    from cratelm.stages import next_to

    with Progress() as progress:
        subject = open_subject(model, opening)
        tokens = tokens_for(subject, text, next_to(out, "-tokens"), progress, needed=("train", "validation"))
        made = train_saes(settings, subject, tokens, out, progress, opening.device)
    quality = read_json(made.path / "quality.json")
    if json:
        print_json(quality)
    else:
        _print(quality)


def _print(quality: dict[str, Any]) -> None:
    import sys

    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from cratelm.report.number_text import estimate, number

    title = (
        f"Validation, {quality['tokens']:,} tokens; loss of the model alone {quality['clean_loss']:.4f} nats a token"
    )
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    names = ("site", "L0", "explained\nvariance", "dead\nshare", "loss,\nSAE", "loss,\nzero", "loss,\nmean")
    for name in (*names, "delta loss\n[95%]", "loss\nrecovered"):
        table.add_column(name, justify="left" if name == "site" else "right")
    keys = ("l0", "explained_variance", "dead_share", "sae_loss", "zero_loss", "mean_loss")
    for site, row in quality["sites"].items():
        figures = [number(row[key]) for key in keys]
        table.add_row(site, *figures, estimate(row["delta_loss"], 4), number(row["loss_recovered"]))
    together = quality["together"]
    blank = ["", "", ""]
    table.add_row("all together", *blank, number(together["sae_loss"]), "", "", estimate(together["delta_loss"], 4), "")
    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False, markup=False)
    console.print(table)

"""`cratelm tokenize`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.corpus.config import CorpusConfig


def tokenize(settings: Annotated[CorpusConfig, Parameter(name="*")] = CorpusConfig(), *, out: Path) -> None:
    """Turn a corpus into tokens of four sides: train, validation, explain and score.

    Parameters
    ----------
    out
        The folder to write: SIDE.ds and SIDE.ds.index for each side, tokenizer.json, counts.json, manifest.json.
    """
    from rich.console import Console

    from cratelm.artifacts import read_json
    from cratelm.corpus.tokens import tokenize
    from cratelm.progress import Progress

    with Progress() as progress:
        tokens = tokenize(settings, out, progress)
    for side, counts in read_json(tokens.path / "counts.json")["sides"].items():
        console = Console(highlight=False)
        console.print(
            f"{side}: {counts['documents']:,} documents, {counts['tokens']:,} tokens, {counts['bytes']:,} bytes"
        )

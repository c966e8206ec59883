"""`cratelm tokenize`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cratelm.corpus.config import CorpusConfig
from cratelm.shards.config import EngineConfig


def tokenize(
    settings: Annotated[CorpusConfig, Parameter(name="*")] = CorpusConfig(),
    *,
    out: Path,
    engine: Annotated[EngineConfig, Parameter(name="*")] = EngineConfig(),
) -> None:
    """Turn a corpus into tokens: train, validation, explain and score.

    Parameters
    ----------
    out
        The folder to write: SIDE.ds and SIDE.ds.index for each side, tokenizer.json, counts.json, manifest.json.

    Examples
    --------
    cratelm tokenize reviews --out tokens
    """
    from rich.console import Console

    from cratelm.artifacts import read_json
    from cratelm.corpus.tokens import tokenize
    from cratelm.progress import Progress

    with Progress() as progress:
        tokens = tokenize(settings, out, progress, engine)
    console = Console(highlight=False)
    for side, counts in read_json(tokens.path / "counts.json")["sides"].items():
        console.print(
            f"{side}: {counts['documents']:,} documents, {counts['tokens']:,} tokens, {counts['bytes']:,} bytes"
        )

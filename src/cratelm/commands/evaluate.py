"""`cratelm eval`."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cratelm.loading import DEFAULT_OPENING, Dtype, OpeningConfig
from cratelm.ranges import whole


def evaluate(
    model: str,
    /,
    *,
    on: str | None = None,
    data: Path | None = None,
    documents: Annotated[int | None, whole(1)] = None,
    context: Annotated[int | None, whole(1)] = None,
    stride: Annotated[int | None, whole(1)] = None,
    tasks: str | None = None,
    tasks_folder: Path | None = None,
    dtype: Dtype = "float32",
    opening: Annotated[OpeningConfig, Parameter(name="*")] = DEFAULT_OPENING,
    json: bool = False,
) -> None:
    """Measure a model's loss on held-out text, and run lm-eval tasks.

    Tasks are those of lm-evaluation-harness.

    Parameters
    ----------
    model
        A trained model's folder; any transformers folder with a causal language model and its tokenizer; or the name
        of one on the hub, which is off unless HF_HUB_OFFLINE=0. Nothing in it is executed.
    on
        The text: `wikitext2`, `wikitext103`, `lambada`, `ptb`, `openwebtext`, `pile`, or the path of a file or a
        folder, as in `cratelm study --corpus`.
    data
        A folder with the same files as the hub's repository of the set in --on; it is read instead of the hub.
    documents
        How many documents are read, from the first; all by default.
    context
        The most tokens that the model reads at once; by default as many as it can.
    stride
        How many new tokens each window predicts; the window's other tokens are read again as context. By default the
        whole window, which is the fastest and gives the highest loss. A smaller stride is slower and gives a lower
        loss.
    tasks
        Tasks of lm-evaluation-harness, with commas between them.
    tasks_folder
        A folder with task files of your own; Python functions that they name are executed.
    dtype
        The type of the model's weights and of its forward pass; `auto` is what its config.json says.
    json
        Print the figures as JSON on stdout.

    Examples
    --------
    cratelm eval runs/laptop/models/crate --on runs/laptop/tokens
    """
    from cratelm.corpus.evaluation_sets import EVALUATION_SETS, read_evaluation_set
    from cratelm.models.subject import find_model
    from cratelm.progress import Progress
    from cratelm.training.evaluate_texts import evaluate_texts, open_language_model
    from cratelm.training.harness import run_tasks

    _require_sense(on, data, documents, stride, tasks, tasks_folder)
    with Progress() as progress:
        found = find_model(model, opening)
        figures: dict[str, Any] = {"model": model, "dtype": dtype} | found.origin
        read = None
        if on is not None:
            with progress.task(f"reading {on}"):
                read = read_evaluation_set(on, data, documents)
        network, tokenizer = open_language_model(found.path, opening.loading(dtype))
        if read is not None:
            last_words = on in EVALUATION_SETS and EVALUATION_SETS[on].last_words
            figures |= {"on": on, "revision": read.revision}
            figures |= evaluate_texts(network, tokenizer, read.documents, stride, last_words, progress, context)
        if tasks is not None:
            names = [name.strip() for name in tasks.split(",") if name.strip()]
            figures["tasks"] = run_tasks(network, tokenizer, names, tasks_folder, progress, context)
    _print(figures, json)


def _require_sense(
    on: str | None,
    data: Path | None,
    documents: int | None,
    stride: int | None,
    tasks: str | None,
    tasks_folder: Path | None,
) -> None:
    """Refuse settings that do not go together, before anything is loaded."""
    from cratelm.errors import InputError

    if on is None and tasks is None:
        raise InputError("nothing to measure: give --on SET_OR_PATH, --tasks NAMES, or both.")
    for name, value in (("--data", data), ("--documents", documents), ("--stride", stride)):
        if value is not None and on is None:
            raise InputError(f"{name} is about the text of --on: give --on SET_OR_PATH as well.")
    if tasks_folder is not None and tasks is None:
        raise InputError("--tasks-folder says where tasks lie: give --tasks NAMES as well.")
    if tasks is not None and not tasks.replace(",", " ").strip():
        raise InputError("--tasks names no task.")
    for name, folder in (("--data", data), ("--tasks-folder", tasks_folder)):
        if folder is not None and not folder.is_dir():
            raise InputError(f"{name} {folder}: there is no such folder.")


def _print(figures: dict[str, Any], as_json: bool) -> None:
    """Print the figures on stdout, as tables or as JSON."""
    import sys

    from rich.console import Console

    from cratelm.output import print_json

    if as_json:
        print_json(figures)
        return
    # A pipe has no width of its own: give the tables the room they need.
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False, markup=False)
    if "on" in figures:
        console.print(_losses(figures))
        console.print(
            f"{figures['documents']:,} documents, {figures['tokens']:,} tokens, {figures['bytes']:,} bytes; "
            f"context {figures['context']:,}, stride {figures['stride']:,}."
        )
    if "tasks" in figures:
        console.print(_tasks(figures["tasks"]))


def _losses(figures: dict[str, Any]) -> Any:
    from cratelm.report.number_text import estimate, number

    shown = _table(f"{figures['model']} on {figures['on']}", ("measured", "[95%]"))
    names = {
        "nats_per_token": "loss, nats a token",
        "perplexity": "perplexity",
        "bits_per_byte": "bits a byte",
        "last_word_accuracy": "last words right",
    }
    for key, name in names.items():
        if value := figures.get(key):
            whole = None not in value.values()
            shown.add_row(name, estimate(value) if whole else number(value["mean"]))
    return shown


def _tasks(rows: list[dict[str, Any]]) -> Any:
    from cratelm.report.number_text import number

    shown = _table("lm-evaluation-harness", ("task", "metric", "value", "standard\nerror"))
    for row in rows:
        shown.add_row(row["task"], row["metric"], number(row["value"]), number(row["standard_error"]))
    return shown


def _table(title: str, columns: tuple[str, ...]) -> Any:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name in ("measured", "task", "metric") else "right")
    return table

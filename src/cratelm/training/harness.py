"""Tasks of lm-evaluation-harness, run on a model that is already loaded."""

import logging
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from huggingface_hub import is_offline_mode
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cratelm.corpus.model_tokenizer import start_token
from cratelm.errors import InputError, first_line
from cratelm.progress import Progress
from cratelm.training.bounded_logits import rows_at_once
from cratelm.training.text_losses import context_length

REPLICATES = 1000
"""How often the harness draws documents again for the standard errors that have no formula."""


def run_tasks(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    tasks: list[str],
    folder: Path | None,
    progress: Progress,
    context: int | None = None,
) -> list[dict[str, Any]]:
    """Each task's metrics: rows of `task`, `metric`, `value` and `standard_error`, None where there is none.

    `folder` holds task files of one's own; functions that they name are executed. Raises InputError where the
    harness is not installed, a task is unknown, or its text cannot be had.
    """
    try:
        import lm_eval
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise InputError("--tasks needs lm-evaluation-harness: pip install 'cratelm[eval]'") from error
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    length = context_length(model, context)
    judge = HFLM(
        model,
        tokenizer=tokenizer,
        prefix_token_id=start_token(tokenizer),
        max_length=length,
        batch_size=rows_at_once(model, length),
    )
    # What the harness prints is not the result.
    with progress.task(f"running {', '.join(tasks)}"), redirect_stdout(sys.stderr), _text_needed(tasks):
        manager = TaskManager(include_path=None if folder is None else str(folder))
        unknown = [name for name in tasks if name not in manager.task_index]
        if unknown:
            raise InputError(f"no task {', '.join(unknown)}. `lm-eval ls tasks` lists the harness's own.")
        evaluation = lm_eval.simple_evaluate(
            judge, tasks=tasks, task_manager=manager, log_samples=False, bootstrap_iters=REPLICATES
        )
    return [row for task, values in evaluation["results"].items() for row in _rows(task, values)]


@contextmanager
def _text_needed(tasks: list[str]) -> Iterator[None]:
    """What the harness says when it cannot have or read a task's text, as an InputError."""
    try:
        yield
    except (OSError, ValueError) as error:
        off = " The hub is off; HF_HUB_OFFLINE=0 turns it on." if is_offline_mode() else ""
        raise InputError(f"{', '.join(tasks)} cannot be run: {first_line(error)}.{off}") from error


def _rows(task: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """The harness names a metric `acc,none` (its filter last), and its standard error `acc_stderr,none`."""
    rows = []
    for key, value in values.items():
        name, comma, kind = key.partition(",")
        if comma and not name.endswith("_stderr"):
            error = values.get(f"{name}_stderr,{kind}")
            metric = name if kind == "none" else f"{name} ({kind})"
            rows.append({"task": task, "metric": metric, "value": _finite(value), "standard_error": _finite(error)})
    return rows


def _finite(value: Any) -> float | None:
    """A number that JSON can hold; the harness says `N/A` where it has none."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None

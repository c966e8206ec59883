"""Parquet files of finished stages: one that cannot be read is named, with what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.errors import InputError, first_line


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise InputError where the file is missing, damaged or of another schema."""
    try:
        yield
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is damaged or missing ({first_line(error)}). Remove its folder and run the command again that "
            "made it."
        ) from error


def read_table(path: Path, **options: Any) -> pa.Table:
    """As pyarrow's read_table, with InputError where the file cannot be read."""
    with reading(path):
        return pq.read_table(path, **options)

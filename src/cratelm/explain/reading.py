"""The files of explanations, read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.errors import InputError, first_line


def read_kept(path: Path) -> pa.Table:
    """A file of explanations; InputError where it cannot be read."""
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} is damaged ({first_line(error)}). Remove its folder and explain again.") from error


def read_columns(path: Path) -> dict[str, np.ndarray]:
    """The same, a column a name."""
    table = read_kept(path)
    return {name: table[name].to_numpy() for name in table.column_names}

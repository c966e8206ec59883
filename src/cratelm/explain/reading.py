"""The files of explanations, read."""

from pathlib import Path

import numpy as np

from cratelm.parquet import read_table


def read_columns(path: Path) -> dict[str, np.ndarray]:
    """A file of explanations, a column a name; InputError where it cannot be read."""
    table = read_table(path)
    return {name: table[name].to_numpy() for name in table.column_names}

"""Tables as pandas takes them; pandas is imported when one is asked for."""

from typing import TYPE_CHECKING

import pyarrow as pa

from cratelm.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def to_frame(table: pa.Table) -> "pd.DataFrame":
    """The table as a DataFrame, names that repeat as categories; InputError where pandas is not installed."""
    require_pandas()
    return table.to_pandas()


def require_pandas() -> None:
    """Refuse a DataFrame where pandas is not installed, in a line that says how to install it."""
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise InputError("a DataFrame needs pandas: pip install 'cratelm[notebook]'") from error


def repeated(names: list[str]) -> pa.Array:
    """A column of names that repeat: each is kept once."""
    return pa.array(names, pa.string()).dictionary_encode()

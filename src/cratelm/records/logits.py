"""The file of the tokens that each unit's writing raises and lowers most; reading it takes no PyTorch."""

import pyarrow as pa

from cratelm.artifacts import Artifact
from cratelm.parquet import read_table

FILE = "logits.parquet"
SIDES = ("raised", "lowered")
SCHEMA = pa.schema(
    [
        ("layer", pa.int16()),
        ("unit", pa.int32()),
        *(
            (name, kind)
            for side in SIDES
            for name, kind in ((side, pa.list_(pa.int32())), (f"{side}_by", pa.list_(pa.float32())))
        ),
    ]
)


def read_logits(records: Artifact, layer: int, unit: int | None = None) -> dict[int, dict[str, list]]:
    """By unit, `raised` and `lowered` tokens and `raised_by`, `lowered_by`; empty where none were kept."""
    path = records.path / FILE
    if not path.is_file():
        return {}
    filters = [("layer", "=", layer)] + ([] if unit is None else [("unit", "=", unit)])
    rows = read_table(path, filters=filters, columns=SCHEMA.names[1:]).to_pylist()
    return {row.pop("unit"): row for row in rows}

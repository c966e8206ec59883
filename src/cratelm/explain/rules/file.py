"""Rules in a Parquet file: a row a rule, with its conditions as they are."""

from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.explain.rules.condition import Condition
from cratelm.explain.rules.rule_lists import Rule
from cratelm.parquet import read_table

CONDITION = pa.struct(
    [
        ("kind", pa.string()),
        ("back", pa.int16()),
        ("window", pa.int16()),
        ("tokens", pa.list_(pa.int32())),
        ("text", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [("unit", pa.int32()), ("mean", pa.float64()), ("share", pa.float64()), ("conditions", pa.list_(CONDITION))]
)


def write_rules(rules: dict[int, list[Rule]], path: Path) -> None:
    """Write the rules of some units, in the order in which they are tried."""
    rows = [
        {"unit": unit, "mean": rule.mean, "share": rule.share, "conditions": [asdict(one) for one in rule.conditions]}
        for unit, some in sorted(rules.items())
        for rule in some
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path, compression="zstd")


def read_rules(path: Path) -> dict[int, list[Rule]]:
    """The rules by unit; InputError where the file cannot be read."""
    rules: dict[int, list[Rule]] = {}
    for row in read_table(path, columns=SCHEMA.names).to_pylist():
        conditions = tuple(Condition(**(one | {"tokens": tuple(one["tokens"])})) for one in row["conditions"])
        rules.setdefault(row["unit"], []).append(Rule(conditions, row["mean"], row["share"]))
    return rules

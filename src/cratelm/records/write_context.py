"""What the last k tokens tell of each unit, out of the shards of ContextPass: r2 by unit, and means of layers."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cratelm.artifacts import write_json
from cratelm.records.context import LAST, LAYERS, REACHED, SCHEMA, UNITS
from cratelm.records.context_pass import ContextPass
from cratelm.records.recording import load_state
from cratelm.seeds import derive_seed
from cratelm.stats import NEGLIGIBLE, correlation, draw_weights, interval

REPLICATES = 200
"""How often documents are drawn again for a layer's interval."""
UNITS_AT_ONCE = 128


def write_context(work: ContextPass, folder: Path) -> None:
    """Write context.parquet and context.json; nothing where no unit was read."""
    if not work.shards:
        return
    document = np.concatenate([work.half.contexts.document[some.context] for some in work.shards])
    documents, row = np.unique(document, return_inverse=True)
    drawn = draw_weights(len(documents), REPLICATES, derive_seed(work.config.seed, "context documents"))
    tables, layers = [SCHEMA.empty_table()], []
    for layer, units in enumerate(work.units):
        read = [load_state(work.result(number), str(layer))[""].numpy() for number in range(len(work.shards))]
        r2, replicates = _measured(np.concatenate(read, axis=1), row.ravel(), drawn)
        tables.append(_rows(layer, units, r2))
        layers.append({"layer": layer} | _of_layer(r2, replicates))
    pq.write_table(pa.concat_tables(tables), folder / UNITS, compression="zstd")
    places = "original" if work.told else "from 0"
    known = {"last": list(LAST), "positions": len(document), "documents": len(documents), "places": places}
    write_json(folder / LAYERS, known | {"layers": layers})


def _measured(read: np.ndarray, document: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """r2 by k and unit, (LAST, units), and layers' mean r2 with documents drawn again, (replicates, LAST).

    `read` (1 + LAST, positions, units), `document` (positions,), `drawn` (replicates, documents).
    """
    found, total, count = [], np.zeros((len(drawn), len(LAST))), np.zeros((len(drawn), len(LAST)))
    for first in range(0, read.shape[2], UNITS_AT_ONCE):
        whole, *cuts = read[..., first : first + UNITS_AT_ONCE].astype(np.float64)
        by_k = [document_sums(whole, cut, document, drawn.shape[1]) for cut in cuts]
        found.append(np.stack([squared(sums.sum(0)) for sums in by_k]))
        for k, sums in enumerate(by_k):
            again = squared((drawn @ sums.reshape(len(sums), -1)).reshape(len(drawn), -1, 6))
            total[:, k] += np.nansum(again, axis=1)
            count[:, k] += np.isfinite(again).sum(1)
    with np.errstate(invalid="ignore"):
        return np.concatenate([np.empty((len(LAST), 0)), *found], axis=1), total / count


def document_sums(x: np.ndarray, y: np.ndarray, document: np.ndarray, documents: int) -> np.ndarray:
    """What r2 is computed from, of series (positions, units), in each document: (documents, units, 6)."""
    order = np.argsort(document, kind="stable")
    x, y = x[order], y[order]
    present, begins = np.unique(document[order], return_index=True)
    values = np.stack([np.ones_like(x), x, y, x**2, y**2, x * y], axis=-1)
    sums = np.zeros((documents, *values.shape[1:]))
    sums[present] = np.add.reduceat(values, begins, axis=0)
    return sums


def squared(sums: np.ndarray) -> np.ndarray:
    """r2 of units from sums (..., 6); NaN where the unit itself, with all tokens, does not vary or is not finite."""
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, square = sums[..., 1] / sums[..., 0], sums[..., 3] / sums[..., 0]
        return np.where(square - mean**2 > NEGLIGIBLE * square, correlation(sums) ** 2, np.nan)


def reaches(r2: np.ndarray) -> np.ndarray:
    """The smallest k whose r2 (LAST, units) is REACHED: (units,); infinite where none is, NaN where r2 is unknown."""
    smallest = np.min(np.where(r2 >= REACHED, np.array(LAST, float)[:, None], np.inf), axis=0)
    return np.where(np.isnan(r2).any(0), np.nan, smallest)


def _rows(layer: int, units: np.ndarray, r2: np.ndarray) -> pa.Table:
    """The units whose r2 is known."""
    reach, known = reaches(r2), np.isfinite(r2).all(0)
    values = pa.FixedSizeListArray.from_arrays(pa.array(r2[:, known].T.ravel(), pa.float32()), len(LAST))
    near = [int(value) if np.isfinite(value) else None for value in reach[known]]
    columns = [pa.array(np.full(int(known.sum()), layer), pa.int16()), pa.array(units[known], pa.int32())]
    return pa.Table.from_arrays([*columns, values, pa.array(near, pa.int16())], schema=SCHEMA)


def _of_layer(r2: np.ndarray, replicates: np.ndarray) -> dict[str, Any]:
    """The mean over units whose r2 is known, with its interval, and their median reach; None where it is beyond."""
    known = r2[:, np.isfinite(r2).all(0)]
    counts = {"units": known.shape[1], "unknown": r2.shape[1] - known.shape[1]}
    if not known.shape[1]:
        return counts | {"mean": None, "low": None, "high": None, "median_reach": None}
    low, high = interval(replicates)
    reach = float(np.quantile(reaches(known), 0.5, method="inverted_cdf"))
    means = {"mean": known.mean(1).tolist(), "low": low.tolist(), "high": high.tolist()}
    return counts | means | {"median_reach": int(reach) if np.isfinite(reach) else None}

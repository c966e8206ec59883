"""After the passes: each site's windows and statistics out of the shards, one site at a time."""

from pathlib import Path

import numpy as np

from cratelm.records.moments import Moments
from cratelm.records.paper.choose_windows import PaperPlanner, pool_of
from cratelm.records.paper.quantiles import bin_of, draw_quantiles, exact_ranks, silent_shares
from cratelm.records.paper.stream_windows import ANTHROPIC
from cratelm.records.paper.top_positions import TopPositions
from cratelm.records.recording import load_state
from cratelm.records.store import KINDS, Block, write_excerpts, write_units


class PaperAssembler(PaperPlanner):
    """Writes the store's files into `out`."""

    def write_store(self, out: Path) -> list[int]:
        """Write all sites' files; gives each site's number of units that are not finite."""
        statistics: list[dict[str, dict[str, np.ndarray]]] = []
        for layer in range(len(self.recording.sites)):
            moments, tops = self.merged(layer)
            blocks = [self._known(layer, length, top, moments) for length, top in tops.items()]
            values = self.pool_values(layer)
            blocks.append(self._quantiles(layer, values, moments.finite))
            write_excerpts(out / f"layer-{layer}.parquet", blocks)
            of_text = moments.statistics() | {"histogram": self._histogram(values, moments)}
            # Shares are measured between halves of the documents, which this protocol does not know.
            nothing = np.full(moments.mean.shape, np.nan)
            statistics.append({"text": of_text | {"token_share": nothing, "position_share": nothing}})
        write_units(out / "units.parquet", statistics)
        return [int((~of["text"]["finite"]).sum()) for of in statistics]

    def _known(self, layer: int, length: int, top: TopPositions, moments: Moments) -> Block:
        """The windows that the plan named, with the activations that the shards spilled."""
        chosen = self.choose(layer, length, top, moments.finite)
        activations = np.empty((len(chosen.unit), length), np.float32)
        for number in range(len(self.recording.shards)):
            rows = load_state(self.file("plan", number), f"{layer}/{length}/row")[""].numpy()
            spilled = np.fromfile(self.file(f"spill-{length}", number, layer), np.float32)
            activations[rows] = spilled.reshape(-1, length)
        interval = np.full(len(chosen.unit), -1, np.int8)
        windows = self.windows(length)
        return Block("text", windows, chosen.kind, chosen.unit, interval, chosen.rank, chosen.excerpt, activations)

    def _quantiles(self, layer: int, values: np.ndarray, finite: np.ndarray) -> Block:
        """The windows of each bin of ranks; `values` (P, units) at the pool's positions."""
        site, windows = self.recording.sites[layer], self.windows(ANTHROPIC)
        pool = pool_of(windows, self.config)
        shards = range(len(self.recording.shards))
        counts = np.sum([load_state(self.file("second", n), f"{layer}/")[""].numpy() for n in shards], axis=0)
        purpose = (self.config.seed, "text", site.name)
        known = np.nan_to_num(values.T)
        shares = silent_shares(site.units, pool, *purpose)
        bins = bin_of(exact_ranks(known, counts.reshape(site.units, -1), shares), windows.limit)
        unit, interval, rank, place = draw_quantiles(bins, pool, *purpose)
        kept = finite[unit]
        unit, interval, rank, place = unit[kept], interval[kept], rank[kept], place[kept]
        spilled = np.concatenate([np.fromfile(self.file("pool", n, layer), np.float32) for n in shards])
        activations = spilled.reshape(len(pool), ANTHROPIC, site.units)[place, :, unit]
        kind = np.full(len(unit), KINDS.index("interval"), np.int8)
        return Block("text", windows, kind, unit, interval.astype(np.int8), rank, pool[place], activations)

    def _histogram(self, values: np.ndarray, moments: Moments) -> np.ndarray:
        """How many of the pool's firing positions lie in each bin up to a unit's maximum: (units, bins)."""
        bins, units = self.config.histogram, values.shape[1]
        maximum = moments.maximum.numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            cell = np.clip(np.nan_to_num(values / maximum * bins), 0, bins - 1).astype(np.int64)
        fires = (values > 0) & moments.finite
        flat = (cell + np.arange(units) * bins)[fires]
        return np.bincount(flat, minlength=units * bins).reshape(units, bins)

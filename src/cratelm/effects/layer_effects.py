"""The effects of the units of a layer: which are drawn, where they are set to zero, and what is compared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cratelm.artifacts import Artifact, read_json
from cratelm.effects.ablation import Ablation
from cratelm.effects.config import EffectsConfig
from cratelm.effects.one_unit import Places, Read, Said, UnitEffects
from cratelm.effects.points import Points, all_points, draw_random, draw_strong, draw_units, partners
from cratelm.effects.taken_apart import UNKNOWN, faithfulness, why_not
from cratelm.explain.explain import explainers_of, read_explanations, vocabulary_of
from cratelm.explain.registry import EXPLAINERS
from cratelm.loading import Loading
from cratelm.models.subject import model_folder
from cratelm.protocols import PROTOCOLS
from cratelm.records.store import read_protocol
from cratelm.records.text_sample import read_text_sample
from cratelm.sae.open import load_network, start_of
from cratelm.score.metric import OPENAI
from cratelm.seeds import derive_seed
from cratelm.stats import derangement
from cratelm.units.directions import unit_directions
from cratelm.units.unembedding import Unembedding, find_unembedding
from cratelm.units.unit_site import Site

LOGITS_AT_ONCE = 2**27
"""Numbers of the logits that are held at once, 512 MB; those of one unit at least."""


@dataclass(frozen=True)
class LayerEffects:
    """Measures the units of a model that is open, a layer a call."""

    config: EffectsConfig
    ablation: Ablation
    sites: list[Site]
    unembedding: Unembedding | None
    explanations: Callable[[int], dict[str, Said]]
    """By layer, what each explainer says."""
    vocabulary: int
    not_attributed: str | None
    """Why units of this model cannot be taken apart, if they cannot."""

    @classmethod
    def open(
        cls, config: EffectsConfig, model: Artifact, records: Artifact, explanations: Artifact, device: str
    ) -> "LayerEffects":
        sample = read_text_sample(records, 0, PROTOCOLS[read_protocol(records)].scored_on, units=[])
        folder = model_folder(model)
        network = load_network(folder, Loading(dtype=records.config["dtype"], device=device))
        summary = read_json(records.path / "records.json")
        sites = [Site(site["site"], site["units"], site["signed"]) for site in summary["sites"]]
        names = [by.name for by in explainers_of(explanations) if by.role == "explainer" and not by.in_words]

        def said(layer: int) -> dict[str, Said]:
            read = {name: read_explanations(explanations, records, name, OPENAI, layer) for name in names}
            return {name: Said(made, EXPLAINERS[name].units(made)) for name, made in read.items()}

        ablation = Ablation(network, sample, start_of(folder))
        reason = why_not(ablation, sites)
        return cls(config, ablation, sites, find_unembedding(network), said, vocabulary_of(records), reason)

    def layer(self, layer: int) -> Iterator[dict[str, Any]]:
        """A row for each unit of a layer that is drawn."""
        site, generator = self.sites[layer], np.random.default_rng(derive_seed(self.config.seed, "effects", layer))
        every = all_points(self.ablation.sample)
        activations = self.ablation.activations(site)[every.piece, every.position].numpy()  # (points, units)
        units = draw_units(activations, self.config.units, generator)
        if len(units) < 2:
            return
        lenses, said = self._lenses(site, units), self.explanations(layer)
        others = derangement(np.arange(len(units)), generator)
        alike = partners(activations, units)
        places = [self._places(activations[:, unit], generator) for unit in units]
        for some in self._groups(places):
            read = Read.of(self.ablation, every, np.unique(np.concatenate([places[n].both for n in some])))
            for n in some:
                one = UnitEffects(
                    self.ablation, site, activations, read, int(units[n]), int(alike[n]), places[n], self.vocabulary
                )
                both = (None, None) if lenses is None else (lenses[n], lenses[others[n]])
                follows = one.follows(said, int(units[others[n]]))
                apart = self._taken_apart(layer, one, every) if n < self.config.attributed else UNKNOWN
                yield {"unit": one.unit, "partner": one.partner} | one.effects(*both) | follows | apart

    def _taken_apart(self, layer: int, one: UnitEffects, every: Points) -> dict[str, float]:
        if layer == 0 or self.not_attributed:
            return UNKNOWN
        strongest = one.places.strong[[one.activations[one.places.strong, one.unit].argmax()]]
        seed = derive_seed(self.config.seed, "attributed", layer, one.unit)
        return faithfulness(self.ablation, self.sites, layer, one.unit, every[strongest], seed)

    def _places(self, activations: np.ndarray, generator: np.random.Generator) -> Places:
        strong = draw_strong(activations, self.config, generator)
        return Places(strong, draw_random(len(activations), self.config, generator))

    def _groups(self, places: list[Places]) -> Iterator[range]:
        """Units whose logits are held at once."""
        at_once = max(1, LOGITS_AT_ONCE // (self.vocabulary * (self.config.strong + self.config.random)))
        for first in range(0, len(places), at_once):
            yield range(first, min(first + at_once, len(places)))

    def _lenses(self, site: Site, units: np.ndarray) -> np.ndarray | None:
        """What the unembedding says that units do to the logits, (units, V); None where that is not known."""
        directions = unit_directions(self.ablation.network, site.name, site.signed)
        known = self.unembedding
        if known is None or directions is None or directions.shape != (site.units, len(known.scale)):
            return None
        with torch.inference_mode():
            return known.effects(directions[torch.from_numpy(units)], self.vocabulary).double().cpu().numpy()

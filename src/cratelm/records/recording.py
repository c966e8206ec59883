"""What every pass over the text needs: the model, its sites, the halves and their shards; the same in each process."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel

from cratelm.artifacts import Artifact, read_json
from cratelm.corpus.contexts import context_tokens
from cratelm.corpus.read_tokens import Side, read_side, read_tokenizer
from cratelm.corpus.tokenizer import count_ids
from cratelm.errors import RunError
from cratelm.loading import SPREAD, Loading
from cratelm.models.devices import device_of
from cratelm.models.subject import require_embedding
from cratelm.protocols import PROTOCOLS
from cratelm.records.config import RecordConfig
from cratelm.records.find_ngrams import find_ngrams
from cratelm.records.ngrams import Ngrams
from cratelm.records.probe import PROBE, width_seen
from cratelm.records.tiling import Half, Shard
from cratelm.sae.attach import require_context
from cratelm.sae.open import load_network, start_of
from cratelm.training.text_losses import context_length
from cratelm.units.signs import known_sign
from cratelm.units.sites import at_sites, find_sites

HALVES = ("explain", "score")
SIGNS = "signs.json"
"""Which sites whose class does not tell are signed, by name; written before the passes, so that it is decided once."""


class _AllSeen(Exception):
    """Raised inside a forward pass, to end it where no site is left."""


See = Callable[[np.ndarray, int, torch.Tensor], None]
"""Called with a batch of context numbers, a layer and its activations there (contexts, tokens, units)."""


@dataclass(frozen=True)
class Site:
    """A module whose units are recorded; its place in the list of all is the layer's number."""

    name: str
    units: int
    """Units that are recorded: of a signed site twice as many as its output has coordinates."""
    signed: bool
    """Coordinates can be negative: unit u is the positive part of the first half, u + units / 2 the negative part."""
    signs: str
    """How that was decided: `known` of the module's class, or `seen` in all the text that is recorded."""


@dataclass(frozen=True)
class Recording:
    """One model on one text."""

    config: RecordConfig
    model: Path
    """The folder with its weights."""
    tokens: Artifact
    signs_file: Path | None = None
    """Where a process that looked already wrote which sites are signed; without one the text is looked at here."""
    device: str = "auto"
    """Where the model runs: see `OpeningConfig`."""

    @property
    def steps(self) -> "Steps":
        """What the protocol does."""
        return resolve_name(PROTOCOLS[self.config.protocol].recording)

    @cached_property
    def network(self) -> PreTrainedModel:
        """The model, with its autoencoders if it has some."""
        return load_network(self.model, Loading(dtype=self.config.dtype, device=self.device))

    @property
    def counting_device(self) -> torch.device:
        """Where activations are counted, whichever device gave them: MPS has no float64."""
        device = device_of(self.network)
        return torch.device("cpu") if device.type == "mps" else device

    @cached_property
    def start(self) -> int:
        """The token that the model reads before every context."""
        return start_of(self.model)

    @cached_property
    def vocabulary(self) -> int:
        """The number of the tokenizer's ids."""
        return count_ids(read_tokenizer(self.tokens))

    @cached_property
    def halves(self) -> dict[str, Half]:
        """Both halves, cut for the model; under the paper's protocol the one text."""
        context = context_length(self.network, self.config.context)
        sides = {name: read_side(self.tokens, name) for name in HALVES}
        return self.steps.cut_halves(sides, context, self.config)

    @cached_property
    def ngrams(self) -> Ngrams:
        """The n-grams of the half that explainers see, which a sample of units is averaged over."""
        return find_ngrams(self.halves[PROTOCOLS[self.config.protocol].explained_on], self.vocabulary)

    @cached_property
    def shards(self) -> list[Shard]:
        """The work on all text, in its order."""
        return self.steps.cut_shards(self.halves, self.config)

    @cached_property
    def sites(self) -> list[Site]:
        """The sites, and whether they are signed."""
        network = self.network
        names = find_sites(network, self.config.sites)
        widths = self._widths(names)
        known = {name: known_sign(network, name) for name in names}
        seen = self._seen([name for name in names if known[name] is None])
        signed = {name: bool(seen.get(name, known[name])) for name in names}
        how = {name: "seen" if name in seen else "known" for name in names}
        return [Site(name, widths[name] * (1 + signed[name]), signed[name], how[name]) for name in names]

    def _widths(self, names: list[str]) -> dict[str, int]:
        """How many coordinates each site's output has, seen in a pass over two texts of three tokens."""
        outputs: dict[str, list[torch.Tensor]] = {name: [] for name in names}
        ids = torch.full(PROBE, self.start, device=device_of(self.network))
        with torch.inference_mode(), at_sites(self.network, names, lambda name, output: outputs[name].append(output)):
            self.network.base_model(input_ids=ids, use_cache=False)
        return {name: width_seen(name, found) for name, found in outputs.items()}

    def _seen(self, names: list[str]) -> dict[str, bool]:
        """Which of the sites are negative somewhere in the text.

        The number of units follows from it, so it has to be known before the passes. A site whose values are signed
        shows it in the first batch; only for one that never is negative is all the text read once more.
        """
        if self.signs_file is not None and self.signs_file.is_file():
            return read_json(self.signs_file)
        negative: set[str] = set()

        def visit(name: str, output: torch.Tensor) -> None:
            if bool((output < 0).any()):
                negative.add(name)

        for shard in self.shards:
            for batch in shard.batches:
                if waiting := [name for name in names if name not in negative]:
                    with torch.inference_mode(), at_sites(self.network, waiting, visit):
                        self.network.base_model(input_ids=self.inputs(shard.half, batch), use_cache=False)
        return {name: name in negative for name in names}

    def inputs(self, half: Half, batch: np.ndarray) -> torch.Tensor:
        """What the model reads for a batch of contexts: (contexts, start token and tokens)."""
        tokens = torch.from_numpy(context_tokens(half.side, half.contexts, batch))
        before = int(half.own_start)
        return torch.nn.functional.pad(tokens, (before, 0), value=self.start).to(device_of(self.network))

    def require_sense(self) -> None:
        """Refuse what could only fail later: sites, text and a vocabulary that do not fit the model."""
        rows = self.network.config.get_text_config().vocab_size
        require_embedding(self.tokens, self.vocabulary, rows, self.start)
        for half in self.halves.values():
            require_context(self.network, int(half.contexts.length.max()) + half.own_start, half.own_start)
        self.sites  # noqa: B018

    @torch.inference_mode()
    def run(self, shard: Shard, see: See, advance: Callable[[], None]) -> None:
        """Run the model over a shard's batches, and show `see` every site's activations. Nothing is computed after the
        last site: no head, and no layer whose units nobody asked for."""
        for batch in shard.batches:
            self.read(self.inputs(shard.half, batch), partial(see, batch), int(shard.half.own_start))
            advance()

    @torch.inference_mode()
    def activations(self, shard: Shard, batch: np.ndarray) -> list[torch.Tensor]:
        """Every site's activations on a batch of a shard: (contexts, tokens, units) each."""
        seen: dict[int, torch.Tensor] = {}
        before = int(shard.half.own_start)
        self.read(self.inputs(shard.half, batch), lambda layer, units: seen.update({layer: units}), before)
        return [seen[layer] for layer in range(len(self.sites))]

    def read(
        self,
        ids: torch.Tensor,
        see: Callable[[int, torch.Tensor], None],
        first: int = 0,
        position_ids: torch.Tensor | None = None,
    ) -> None:
        """Run the model once on ids (texts, T), told `position_ids` (texts, T) if it is not to count from 0, and show
        `see` each layer's activations (texts, T - first, units) from the token `first` on."""
        # A mask too: without one, transformers takes a gap in positions for another text's start.
        given = {} if position_ids is None else {"position_ids": position_ids, "attention_mask": torch.ones_like(ids)}
        layer_of = {site.name: layer for layer, site in enumerate(self.sites)}
        waiting = set(layer_of)

        def visit(name: str, output: torch.Tensor) -> None:
            layer = layer_of[name]
            see(layer, self._units(self.sites[layer], output[:, first:].float().to(self.counting_device)))
            waiting.discard(name)
            # Weights that accelerate moves from device to device are put back at the modules' ends: let it reach them.
            if not waiting and self.device != SPREAD:
                raise _AllSeen

        with suppress(_AllSeen), at_sites(self.network, list(layer_of), visit):
            self.network.base_model(input_ids=ids, use_cache=False, **given)

    def _units(self, site: Site, output: torch.Tensor) -> torch.Tensor:
        if site.signed:
            return torch.cat([output.relu(), (-output).relu()], dim=-1)
        if output.amin() < 0:
            raise RunError(f"{site.name} holds negative activations, where none were expected. Please report this.")
        return output


@lru_cache(maxsize=1)
def _opened(config: RecordConfig, model: Path, tokens: Path, folder: Path, device: str) -> Recording:
    return Recording(config, model, Artifact(tokens, {}), folder / SIGNS, device)


def forget_recording() -> None:
    """Free the model that this process recorded; its folder may hold another model when it is recorded next."""
    _opened.cache_clear()


@dataclass(frozen=True)
class Step:
    """A step of the work, and where its files lie; picklable, so that any engine can carry it."""

    config: RecordConfig
    model: Path
    tokens: Path
    folder: Path
    """Where the passes' files lie."""
    device: str = "auto"
    """Where the model runs, in every process that carries the step: see `OpeningConfig`."""

    @property
    def recording(self) -> Recording:
        """Opened once in a process."""
        return _opened(self.config, self.model, self.tokens, self.folder, self.device)

    def file(self, name: str, shard: int, layer: int | None = None) -> Path:
        """A file of a shard, of all layers or of one."""
        return self.folder / (f"{name}-{shard:05d}" + ("" if layer is None else f"-{layer}"))

    def advance(self, shard: int) -> Callable[[], None]:
        """What is called after each batch: a byte more in a file tells any process how far the shard is."""
        ticks = self.file("ticks", shard)
        ticks.write_bytes(b"")

        def tick() -> None:
            with ticks.open("ab") as file:
                file.write(b".")

        return tick


class Pass(Step, ABC):
    """A pass over the text, a shard a call."""

    @property
    def sizes(self) -> list[int]:
        """How many batches each shard has."""
        return [len(shard.batches) for shard in self.recording.shards]

    @abstractmethod
    def result(self, number: int) -> Path:
        """The file that is there once a shard is done."""

    @abstractmethod
    def __call__(self, number: int) -> None:
        """Work on one shard, unless it is done."""


@dataclass(frozen=True)
class Steps:
    """What a protocol's recording consists of, in this order; the types are made as a Step is."""

    cut_halves: Callable[[dict[str, Side], int, RecordConfig], dict[str, Half]]
    """The held-out text, by the names of its halves, cut into contexts of so many tokens."""
    cut_shards: Callable[[dict[str, Half], RecordConfig], list[Shard]]
    first: type[Pass]
    choose: type[Any]
    """Its `write` says which excerpts of each unit are kept."""
    second: type[Pass]
    assemble: type[Any]
    """Its `write_store` writes all files into a folder, and gives each site's number of units that are not finite."""
    context: type[Any] | None = None
    """A pass that reads the model with less text, where there is one."""


def save_state(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write a shard's state whole or not at all."""
    beside = path.with_name(path.name + ".new")
    save_file({name: value.contiguous() for name, value in tensors.items()}, beside)
    beside.replace(path)


def load_state(path: Path, prefix: str) -> dict[str, torch.Tensor]:
    """What was saved under names that begin with `prefix`, without it; the rest is not read."""
    with safe_open(path, framework="pt") as file:
        return {name.removeprefix(prefix): file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}  # noqa: SIM118

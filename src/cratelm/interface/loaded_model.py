"""A model in memory: what its units do on a text, and what it says with some of them clamped."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from cratelm.circuits.graph import trace
from cratelm.circuits.heads import by_head
from cratelm.circuits.tape import Tape
from cratelm.circuits.targets import find_target
from cratelm.errors import InputError
from cratelm.interface.activations import Activations
from cratelm.interface.at_work import without_bars
from cratelm.interface.attributed import Attributed
from cratelm.loading import Dtype, OpeningConfig
from cratelm.models.devices import device_of
from cratelm.models.subject import find_model
from cratelm.records.probe import PROBE, width_seen
from cratelm.report.text import visible
from cratelm.sae.open import open_with_latents
from cratelm.units.clamp import Clamp, at_coordinate, clamped
from cratelm.units.read import read_text, read_units
from cratelm.units.signs import known_sign
from cratelm.units.sites import at_sites, find_sites
from cratelm.units.steer import continue_text, next_words, read_prompt, token_text
from cratelm.units.unit_site import Site
from cratelm.viewer.networks import load_viewed
from cratelm.viewer.viewed_study import ViewedModel


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A language model, its tokenizer, and the sites of its units.

    >>> import cratelm
    >>> model = cratelm.load(MODEL)
    >>> acts = model.activations("the film was")
    >>> with model.clamp({"0/3": 8}):
    ...     clamped = model.activations("the film was")
    >>> clamped["0/3"].tolist() == [8.0] * len(acts.tokens)
    True
    """

    name: str
    folder: Path
    """Where its files are."""
    network: PreTrainedModel
    """The transformers model itself."""
    tokenizer: PreTrainedTokenizerFast
    sites: tuple[Site, ...]
    """Where each layer's units are, by layer. Of a site whose values can be negative, unit u is the positive part of
    coordinate u, and unit n + u its negative part, as they are recorded."""

    def activations(self, text: str) -> Activations:
        """Every unit's activations on a text, with the clamps that are in force.

        Raises InputError where the text is empty, or longer than the model reads.
        """
        tokens = read_text(self.network, self.tokenizer, _one(text))
        texts = [token_text(self.tokenizer, token) for token in tokens[1:].tolist()]
        return Activations(texts, self.sites, tuple(read_units(self.network, self.sites, tokens)))

    @contextmanager
    def clamp(self, *units: str | Mapping[str, float]) -> Iterator["LoadedModel"]:
        """While this context is open, the model runs with units held: `{"1/37": 8}`, or as on the command line
        `"1/37=8"`, `"1/37+=8"` to add, `"1/37*=2"` to scale.

        Raises InputError where there is no such unit, or some positions alone are named.

        >>> import cratelm
        >>> model = cratelm.load(MODEL)
        >>> with model.clamp("0/3*=0"):
        ...     bool(model.activations("the film was")["0/3"].any())
        False
        """
        clamps = [at_coordinate(clamp, self.sites) for clamp in _parsed(units)]
        with clamped(self.network, self._site_names, clamps):
            yield self

    @torch.inference_mode()
    def generate(self, text: str, new_tokens: int = 20) -> str:
        """What the model writes after a text, greedily, with the clamps that are in force.

        Raises InputError where the text is longer than the model reads.

        >>> import cratelm
        >>> model = cratelm.load(MODEL)
        >>> model.generate("the film was", new_tokens=0)
        ''
        """
        ids = read_prompt(self.network, self.tokenizer, _one(text))
        return continue_text(self.network, self.tokenizer, self._site_names, [], ids, new_tokens)

    @torch.inference_mode()
    def next_tokens(self, text: str, count: int = 10) -> list[tuple[str, float]]:
        """The likeliest next tokens with their probabilities, with the clamps that are in force.

        >>> import cratelm
        >>> len(cratelm.load(MODEL).next_tokens("the film was", count=3))
        3
        """
        return next_words(self.network, self.tokenizer, _one(text), count)

    def why(
        self,
        target: str,
        text: str,
        at: int = -1,
        *,
        against: str | None = None,
        depth: int = 1,
        width: int = 8,
        heads: bool = False,
    ) -> Attributed:
        """Take one activation apart: which units and tokens made it fire, as an exact sum (docs/circuits.md).

        `target` is a unit such as `1/37`, or `next` or `next=TOKEN` for a logit; `at` the position in what the model
        reads, its start token being 0. The `width` strongest contributors are kept at each place, and taken apart
        again up to `depth`. `heads` also splits the target by the last attention head on the way. Raises InputError
        where there is no such unit or position, or a model has no such sum.

        >>> import cratelm
        >>> print(cratelm.load(MODEL).why("1/3", "the film was"))  # doctest: +ELLIPSIS
        1/3 on ...
        """
        ids = read_prompt(self.network, self.tokenizer, _one(text))[0]
        tape = Tape.of(self.network, self._site_names, ids, at)
        asked = find_target(target, against, tape, self.tokenizer)
        tokens = tuple(token_text(self.tokenizer, token) for token in ids.tolist())
        name = target if asked.layer is not None else f"the logit of {token_text(self.tokenizer, asked.unit)!r}"
        where = f"{name} on {tokens[asked.position]!r}"
        graph = trace(tape, ids, asked, depth, width)
        return Attributed(visible(where), tokens, graph, by_head(tape, ids, asked) if heads else ())

    @property
    def _site_names(self) -> list[str]:
        return [site.name for site in self.sites]

    def __repr__(self) -> str:
        units = ", ".join(f"{site.units:,} in {site.name}" for site in self.sites)
        return f"<model {self.name}: units: {units}>"


def _one(text: object) -> str:
    if not isinstance(text, str):
        raise InputError(f"the text is of the type {type(text).__name__}, not a string. Give one text at a time.")
    return text


def _parsed(units: Sequence[str | Mapping[str, float]]) -> list[Clamp]:
    written = [
        line
        for one in units
        for line in ([one] if isinstance(one, str) else [f"{address}={value}" for address, value in one.items()])
    ]
    if not written:
        raise InputError('no unit is named: give some, such as model.clamp({"1/37": 8}).')
    clamps = [Clamp.parse(line) for line in written]
    if any(clamp.positions is not None for clamp in clamps):
        raise InputError("units are held at all positions here: leave out @PLACES, or use cratelm steer.")
    return clamps


def load(
    model: str | Path,
    *,
    sites: str | None = None,
    revision: str | None = None,
    dtype: Dtype = "float32",
    device: str = "auto",
) -> LoadedModel:
    """A model in memory: a folder (a trained model's, a transformers model's, sparse autoencoders'), or a name of the
    hub, which is downloaded unless HF_HUB_OFFLINE=1. Nothing in it is executed.

    `sites` says where its units are, as `cratelm record --sites`: the code or the neurons of each layer's MLP unless
    said otherwise. Raises InputError where there is no such model.

    >>> import cratelm
    >>> cratelm.load(MODEL).sites[0].name
    'model.layers.0.coding.code'
    """
    opening = OpeningConfig(revision=revision, device=device)
    found = find_model(str(model), opening)
    with without_bars():
        network, tokenizer = open_with_latents(found.path, False, opening.loading(dtype))
    return LoadedModel(found.name, found.path, network, tokenizer, tuple(sized_sites(network, sites)))


def of_study(viewed: ViewedModel) -> LoadedModel:
    """A study's model, with its units as they were recorded."""
    with without_bars():
        loaded = load_viewed(viewed, without_error=False)
    return LoadedModel(viewed.name, viewed.model_folder, loaded.model, loaded.tokenizer, tuple(viewed.sites))


def sized_sites(network: PreTrainedModel, pattern: str | None) -> Iterator[Site]:
    """The sites with their sizes, seen in a pass over a few tokens.

    A site whose class does not tell whether its values can be negative is taken for one whose values can.
    """
    names = find_sites(network, pattern)
    outputs: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    with torch.inference_mode(), at_sites(network, names, lambda name, output: outputs[name].append(output)):
        ids = torch.zeros(PROBE, dtype=torch.long, device=device_of(network))
        network.base_model(input_ids=ids, use_cache=False)
    for name in names:
        signed = known_sign(network, name) is not False
        yield Site(name, width_seen(name, outputs[name]) * (1 + signed), signed)

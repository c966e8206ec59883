"""What the Try page sends, checked field by field, and the work that it asks for."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cratelm.errors import InputError
from cratelm.viewer.excerpt_context import context_tokens
from cratelm.viewer.judging import Judge
from cratelm.viewer.network import Network
from cratelm.viewer.networks import Networks, require_running
from cratelm.viewer.own_excerpts import own_excerpts
from cratelm.viewer.user_explanation import OwnWords, score_explanation
from cratelm.viewer.viewed_study import Study, ViewedModel

if TYPE_CHECKING:
    import torch

    from cratelm.circuits.attribution import Target

LONGEST_TEXT = 8_000
"""Characters."""
LONGEST_SENTENCE = 500
MOST_CLAMPS = 16
MOST_NEW_TOKENS = 60
HOTTEST = 5
"""Temperature."""
WHY = {"model": str, "layer": int, "unit": int, "position": int} | {"text": str | None, "half": str | None}
WHY |= {"start": int | None, "count": int | None}
"""The fields that name a unit on a text of one's own, or on recorded text."""


class Tries:
    """The things that can be tried, by name: each takes a request's body."""

    def __init__(self, study: Study, networks: Networks, judge: Judge | None) -> None:
        self.study, self.networks, self._judge = study, networks, judge

    def named(self, what: str) -> Callable[[bytes], dict[str, Any]] | None:
        """What is done for `/api/try/WHAT`, or None."""
        kinds = {"fire": self.fire, "steer": self.steer, "why": self.why, "without": self.without}
        return (kinds | {"explain": self.explain, "judge": self.judge}).get(what)

    def fire(self, body: bytes) -> dict[str, Any]:
        """`model`, `text` (null: an example from the study's text), and `layer` and `unit` to look at, or null.

        The units that fire most do so at the token `at`, or anywhere, and are of the layer `within`, or of any.
        """
        require_running()
        from cratelm.viewer.heavy_imports import Where, fire

        whole = int | None
        asked = _fields(body, model=str, text=str | None, layer=whole, unit=whole, at=whole, within=whole)
        model = self._model(asked["model"])
        chosen = None if asked["unit"] is None else _unit(model, asked["layer"], asked["unit"])
        text = None if asked["text"] is None else _text(asked["text"])
        if asked["within"] is not None:
            _unit(model, asked["within"], 0)
        with self.networks.open(model) as network:
            return fire(network, text, chosen, Where(asked["at"], asked["within"]))

    def steer(self, body: bytes) -> dict[str, Any]:
        """`model`, `text`, `clamps` and `without_error` as on the command line, and how many `new_tokens` to write.

        They are drawn with a `seed` at a `temperature`, or with null the likeliest ones are taken.
        """
        require_running()
        from cratelm.viewer.heavy_imports import Clamp, Writing, steer_text

        fields = {"model": str, "text": str, "clamps": list, "new_tokens": int, "without_error": bool}
        asked = _fields(body, **fields, temperature=int | float | None, seed=int | None)
        if not 0 < len(asked["clamps"]) <= MOST_CLAMPS or not all(isinstance(clamp, str) for clamp in asked["clamps"]):
            raise InputError(f"give 1 to {MOST_CLAMPS} units to turn, such as 1/37=8.")
        if not 0 <= asked["new_tokens"] <= MOST_NEW_TOKENS:
            raise InputError(f"at most {MOST_NEW_TOKENS} tokens are written.")
        writing = Writing(asked["temperature"] or 0.0, asked["seed"] or 0, past_end=True)
        if not 0 <= writing.temperature <= HOTTEST or not 0 <= writing.seed < 2**32:
            raise InputError(f"the temperature is from 0 to {HOTTEST}, and the seed from 0 to {2**32 - 1}.")
        clamps = [Clamp.parse(text[:200]) for text in asked["clamps"]]
        with self.networks.open(self._model(asked["model"]), asked["without_error"]) as network:
            return steer_text(network, _text(asked["text"]), clamps, asked["new_tokens"], writing)

    def why(self, body: bytes) -> dict[str, Any]:
        """A unit at a `position` of what the model reads: its `text`, or `count` tokens of a `half` from `start`."""
        require_running()
        from cratelm.viewer.heavy_imports import why

        asked = _fields(body, **WHY)
        with self.networks.open(self._model(asked["model"])) as network:
            return why(network, _read(network, asked), _target(network.viewed, asked))

    def without(self, body: bytes) -> dict[str, Any]:
        """The same without one contributor: `of_kind` and `of_position`, and of a unit `of_layer` and `of_unit`."""
        require_running()
        from cratelm.viewer.heavy_imports import Node, without

        asked = _fields(body, **WHY, of_kind=str, of_layer=int, of_unit=int, of_position=int)
        source = Node(asked["of_kind"], asked["of_layer"], asked["of_unit"], asked["of_position"])
        with self.networks.open(self._model(asked["model"])) as network:
            return without(network, _read(network, asked), _target(network.viewed, asked), source)

    def explain(self, body: bytes) -> dict[str, Any]:
        """`model`, `layer`, `unit`, and `words` that it should fire on."""
        asked = _fields(body, model=str, layer=int, unit=int, words=str)
        model = self._model(asked["model"])
        layer, unit = _unit(model, asked["layer"], asked["unit"])
        words = OwnWords.parse(_text(asked["words"]), model.texts)
        return {
            "explanation": words.describe(unit, model.texts),
            "scores": score_explanation(model, layer, unit, words),
            **own_excerpts(model, layer, unit, words),
        }

    def judge(self, body: bytes) -> dict[str, Any]:
        """`model`, `layer`, `unit`, and a `sentence` that says what it fires on, for the judge to read."""
        asked = _fields(body, model=str, layer=int, unit=int, sentence=str)
        model = self._model(asked["model"])
        layer, unit = _unit(model, asked["layer"], asked["unit"])
        sentence = " ".join(_text(asked["sentence"]).split())
        if not 0 < len(sentence) <= LONGEST_SENTENCE:
            raise InputError(f"give a sentence of at most {LONGEST_SENTENCE} characters that says what it fires on.")
        if self._judge is None:
            raise InputError("no language model reads sentences here: run cratelm view STUDY --llm URL|PATH.")
        return self._judge.score(model, layer, unit, sentence)

    def _model(self, name: str) -> ViewedModel:
        model = self.study.model(name)
        if model is None:
            raise InputError(f"the study has no model of that name, but {', '.join(self.study.models)}.")
        return model


def _fields(body: bytes, **kinds: Any) -> dict[str, Any]:
    """The fields of a JSON object; InputError unless they are these, of these kinds."""
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("the request is not JSON.") from error
    if not isinstance(asked, dict) or asked.keys() - kinds.keys():
        raise InputError(f"the request is an object of {', '.join(kinds)}.")
    for name, kind in kinds.items():
        value = asked.setdefault(name, None)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InputError(f"{name} is missing or of the wrong kind.")
    return asked


def _text(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise InputError(f"the text has {len(text):,} characters; at most {LONGEST_TEXT:,} are read.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError("the text holds half a character (a lone surrogate).") from error
    return text


def _read(network: Network, asked: dict[str, Any]) -> "torch.Tensor":
    """The tokens that are asked about, as the model reads them: (T,)."""
    from cratelm.viewer.heavy_imports import recorded_ids, text_ids

    if asked["text"] is not None:
        return text_ids(network, _text(asked["text"]))
    if None in (asked["half"], asked["start"], asked["count"]):
        raise InputError("give a text, or the half, start and count of recorded text.")
    return recorded_ids(network, context_tokens(network.viewed, asked["half"], asked["start"], asked["count"]))


def _target(model: ViewedModel, asked: dict[str, Any]) -> "Target":
    from cratelm.viewer.heavy_imports import Target

    return Target(*_unit(model, asked["layer"], asked["unit"]), asked["position"])


def _unit(model: ViewedModel, layer: int | None, unit: int) -> tuple[int, int]:
    if layer is None or not 0 <= layer < len(model.sites):
        raise InputError(f"{model.name} has no layer {layer}, but layers 0 to {len(model.sites) - 1}.")
    if not 0 <= unit < model.sites[layer].units:
        raise InputError(
            f"{model.name}, layer {layer} has no unit {unit}, but units 0 to {model.sites[layer].units - 1}."
        )
    return layer, unit

"""Which units of a study an export holds."""

from collections.abc import Sequence
from dataclasses import dataclass

from cratelm.errors import InputError
from cratelm.viewer.overview import is_control
from cratelm.viewer.viewed_study import Study, ViewedModel


@dataclass(frozen=True)
class Choice:
    """What somebody asked to export; all trained models where nothing is said."""

    layer: str | None = None
    """Layers with commas between them: `1` of every model, or `crate/1`."""
    units: str | None = None
    """Units with commas between them: `crate/1/37`."""
    controls: bool = False
    """Whether to hold the models before training and the control explainers too."""


Chosen = dict[str, dict[int, Sequence[int]]]
"""Units, ascending, by model and layer."""


def chosen_units(study: Study, choice: Choice) -> Chosen:
    """The units that are asked for. Raises InputError for what the study does not have."""
    if choice.units is not None:
        if choice.layer is not None:
            raise InputError("--units names single units: leave --layer out.")
        return _named_units(study, choice.units)
    models = [model for model in study.models.values() if choice.controls or not is_control(model.name)]
    if choice.layer is None:
        return {model.name: {at: range(site.units) for at, site in enumerate(model.sites)} for model in models}
    return _named_layers(study, models, choice.layer)


def _named_units(study: Study, names: str) -> Chosen:
    chosen: dict[str, dict[int, set[int]]] = {}
    for name in _split(names):
        model, layer, unit = _parts(name, 3, "a unit: give model/layer/index, such as crate/1/37")
        found = _model(study, model)
        if layer >= len(found.sites) or unit >= found.sites[layer].units:
            raise InputError(f"the study has no unit {name}. `cratelm view` shows those that it has.")
        chosen.setdefault(model, {}).setdefault(layer, set()).add(unit)
    return {model: {layer: sorted(units) for layer, units in layers.items()} for model, layers in chosen.items()}


def _named_layers(study: Study, models: Sequence[ViewedModel], names: str) -> Chosen:
    chosen: Chosen = {}
    for name in _split(names):
        if "/" in name:
            model, layer = _parts(name, 2, "a layer: give its number, or model/layer, such as crate/1")
            asked = [_model(study, model)]
        else:
            (layer,) = _parts(name, 1, "a layer: give its number, or model/layer, such as crate/1")
            asked = list(models)
        for model in asked:
            if layer >= len(model.sites):
                raise InputError(f"{model.name} has no layer {layer}, but {len(model.sites)}, counted from 0.")
            chosen.setdefault(model.name, {})[layer] = range(model.sites[layer].units)
    return chosen


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",")]


def _parts(name: str, count: int, what: str) -> tuple:
    """A name's parts: of three or two, a model's name first; the rest numbers."""
    parts = name.split("/")
    numbers = parts[1:] if count > 1 else parts
    if len(parts) != count or not all(part.isascii() and part.isdigit() for part in numbers):
        raise InputError(f"{name!r} names not {what}.")
    return (*parts[: count - len(numbers)], *map(int, numbers))


def _model(study: Study, name: str) -> ViewedModel:
    model = study.model(name)
    if model is None:
        raise InputError(f"the study has no model {name!r}, but {', '.join(study.models)}.")
    return model

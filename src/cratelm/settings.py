"""Where a command's settings come from: the command line, then a TOML file, then a preset, then the defaults."""

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cyclopts import App, Argument, ArgumentCollection
from cyclopts.config import Dict

from cratelm.artifacts import as_plain
from cratelm.errors import InputError, first_line
from cratelm.ranges import misfit, shown


def layers(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill what the command line left open from `--config FILE`, then from `--preset NAME`."""
    names = {name: argument for argument in arguments for name in argument.names}

    def fill(values: dict[str, Any], source: str) -> None:
        # Below the command's own name: cyclopts takes no key there for the name of another command, such as `score`.
        for command in reversed(commands):
            values = {command: values}
        Dict(values, source=source)(app, commands, arguments)

    if "--config" in names and (path := _value(names["--config"])):
        values = _read_toml(path)
        _require_fit(values, names, path)
        fill(values, path)
    if "--preset" in names:
        name = _value(names["--preset"]) or names["--preset"].field_info.default
        fill(_flat(as_plain(_preset(commands[0], name))), f"preset {name}")


def _read_toml(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the settings in {path}: {first_line(error)}") from error
    except RecursionError as error:
        raise InputError(f"cannot read the settings in {path}: brackets are nested too deeply.") from error


def _require_fit(values: dict[str, Any], names: Mapping[str, Argument], path: str, above: str = "") -> None:
    """Refuse a key that is not a setting, and a value that is not of its setting's type: cyclopts would convert it."""
    for key, value in values.items():
        name = above + key.replace("_", "-")
        table = any(known.startswith(f"--{name}.") for known in names)
        if "." in key or (not table and f"--{name}" not in names):
            raise InputError(f"{path}: there is no setting {shown(above + key)}.{_nearest(name, names)}")
        if table and isinstance(value, dict):
            _require_fit(value, names, path, f"{name}.")
        elif table:
            raise InputError(f"{path}: {above}{key} is {shown(value)}; it must be a table, such as [{above}{key}].")
        elif wrong := misfit(_as_written(names[f"--{name}"].field_info.annotation), value):
            raise InputError(f"{path}: {above}{key} is {shown(value)}; it must be {wrong}.")


def _as_written(hint: Any) -> Any:
    """A path is text in TOML."""
    return str if hint in (Path, Path | None) else hint


def _nearest(name: str, names: Mapping[str, Argument]) -> str:
    near = get_close_matches(name, [known.removeprefix("--") for known in names], n=1)
    return f" Did you mean {near[0].replace('-', '_')}?" if near else ""


def _preset(command: str, name: str) -> Any:
    """What a preset says to a command; some have their own."""
    from cratelm.presets import preset, sae_preset, train_preset  # which takes seconds: they know the models' classes

    return {"train": train_preset, "sae": sae_preset}.get(command, preset)(name)


def _value(argument: Any) -> str | None:
    return argument.tokens[-1].value if argument.tokens else None


def _flat(plain: dict[str, Any]) -> dict[str, Any]:
    """A preset's plain form without the fields that are None, which TOML cannot say; corpus and judge on top."""
    corpus = plain.pop("corpus", {}) | plain.pop("judge", {})
    return {
        key: {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value
        for key, value in (corpus | plain).items()
        if value is not None
    }

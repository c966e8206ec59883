"""Where a command's settings come from: the command line, then a TOML file, then a preset, then the defaults."""

import tomllib
from pathlib import Path
from typing import Any

from cyclopts import App, ArgumentCollection
from cyclopts.config import Dict

from cratelm.artifacts import as_plain
from cratelm.errors import InputError


def layers(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill what the command line left open from `--config FILE`, then from `--preset NAME`."""
    names = {name: argument for argument in arguments for name in argument.names}

    def fill(values: dict[str, Any], source: str) -> None:
        # Below the command's own name: cyclopts takes no key there for the name of another command, such as `score`.
        for command in reversed(commands):
            values = {command: values}
        Dict(values, source=source)(app, commands, arguments)

    if "--config" in names and (path := _value(names["--config"])):
        try:
            fill(tomllib.loads(Path(path).read_text(encoding="utf-8")), path)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the settings in {path}: {error}") from error
    if "--preset" in names:
        name = _value(names["--preset"]) or names["--preset"].field_info.default
        fill(_flat(as_plain(_preset(commands[0], name))), f"preset {name}")


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

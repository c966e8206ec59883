"""Where a command's settings come from: the command line, then a TOML file, then a preset, then the defaults."""

from typing import Any

from cyclopts import App, ArgumentCollection
from cyclopts.config import Dict, Toml

from cratelm.artifacts import as_plain
from cratelm.errors import InputError
from cratelm.presets import preset


def layers(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Fill what the command line left open from `--config FILE`, then from `--preset NAME`."""
    names = {name: argument for argument in arguments for name in argument.names}
    if "--config" in names and (path := _value(names["--config"])):
        try:
            Toml(path, must_exist=True, search_parents=False, use_commands_as_keys=False)(app, commands, arguments)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the settings in {path}: {error}") from error
    if "--preset" in names:
        name = _value(names["--preset"]) or names["--preset"].field_info.default
        Dict(_flat(as_plain(preset(name))), source=f"preset {name}", use_commands_as_keys=False)(
            app, commands, arguments
        )


def _value(argument: Any) -> str | None:
    return argument.tokens[-1].value if argument.tokens else None


def _flat(plain: dict[str, Any]) -> dict[str, Any]:
    """A preset's plain form without the fields that are None, which TOML cannot say, the corpus's fields on top."""
    corpus = plain.pop("corpus")
    return {
        key: {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value
        for key, value in (corpus | plain).items()
        if value is not None
    }

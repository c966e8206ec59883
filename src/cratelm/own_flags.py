"""The flags that a message names, as the command that failed calls them."""

import re
from collections.abc import Collection

FLAG = re.compile(r"(?P<command>cratelm [a-z]+ [^:;,()]*)|(?<![\w-])--[a-z][a-z-]*(\.[a-z][a-z-]*)?")
"""A flag, as --sites or --records.sites; or a whole command line, whose flags are that command's."""


def with_own_flags(message: str, flags: Collection[str]) -> str:
    """The message with each flag as it is among `flags`, those of the command that failed.

    Stages know their settings, and not whose they are: `cratelm record` has --protocol, and `cratelm measure`, which
    has other stages too, --records.protocol. A flag without one counterpart stays as it is.
    """

    def own(found: re.Match[str]) -> str:
        flag = found[0]
        if found["command"] or flag in flags:
            return flag
        name = flag.removeprefix("--").rpartition(".")[2]
        like = [known for known in flags if known == f"--{name}" or known.endswith(f".{name}")]
        return like[0] if len(like) == 1 else flag

    return FLAG.sub(own, message)

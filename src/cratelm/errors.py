"""The two ways a command can fail that are not bugs of ours; the command line turns them into exit codes."""


class InputError(Exception):
    """What the person gave cannot be used: exit status 2. The message says what, where, and what to do."""


class RunError(Exception):
    """The run or its surroundings failed (loss not finite, disk full): exit status 3."""


def first_line(error: BaseException) -> str:
    """What another library says went wrong, in one line."""
    return next(iter(str(error).splitlines()), type(error).__name__)

"""The two ways a command can fail that are not bugs of ours; the command line turns them into exit codes."""


class InputError(Exception):
    """What the person gave cannot be used: exit status 2. The message says what, where, and what to do.

    >>> import cratelm
    >>> cratelm.open("nowhere")
    Traceback (most recent call last):
    cratelm.errors.InputError: nowhere is not there. Give the folder of a study, of a stage, or of a model.
    """


class RunError(Exception):
    """The run or its surroundings failed (loss not finite, disk full): exit status 3."""


def first_line(error: BaseException) -> str:
    """What another library says went wrong, in one line; never its advice to obey a file that asks for more."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return (
        "it asks for more than tensors (it could run code), and was not loaded"
        if "weights only" in said.lower()
        else said
    )


def setting_fault(error: BaseException) -> str:
    """What a strict configuration of transformers says is wrong with a setting: its cause, without what was checked."""
    return str(error.__cause__ or error).strip().splitlines()[-1].strip().rstrip(".")

"""What the hub says no to, in one line: who has to do what."""

from collections.abc import Iterator
from contextlib import contextmanager

from cratelm.corpus.hub import NETWORK
from cratelm.errors import InputError, RunError, first_line

TOKEN = "HF_TOKEN"
REFUSALS = {
    401: f"the hub does not take the token in {TOKEN} (401). Make one that may write: huggingface.co/settings/tokens",
    403: "the token in {token} may not write to {repository} (403). Give a repository of your own, or a token that may",
    404: "the hub has no place for {repository} (404). The owner is a user or an organisation that is there",
}
"""What the user can change, by the status of the hub's answer."""
LATER = {429: "it takes no more requests for now (429)"}


@contextmanager
def explained(repository: str) -> Iterator[None]:
    """Whatever the hub does not do for `repository` is raised as an InputError or a RunError of one line."""
    try:
        yield
    except NETWORK as error:  # type: ignore[not-a-type]
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's fault, not the hub's
        raise _in_one_line(repository, error) from error
    except ValueError as error:  # a card that the hub does not accept, such as one with a licence that it does not know
        raise InputError(f"the hub does not take {repository}: {' '.join(str(error).split())}.") from error


def _in_one_line(repository: str, error: Exception) -> InputError | RunError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in REFUSALS:
        return InputError(REFUSALS[status].format(repository=repository, token=TOKEN) + ".")
    reason = LATER.get(status, first_line(error)) if status else f"it does not answer ({first_line(error)})"
    return RunError(f"the hub did not take {repository}: {reason}. Run the same command again later.")

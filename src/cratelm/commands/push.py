"""`cratelm push`."""

from pathlib import Path


def push(
    folder: Path, repository: str, /, *, licence: str | None = None, private: bool = False, dry_run: bool = False
) -> None:
    """Publish a study, a recording or a model on the hub.

    Sends what is needed to look at it or to load it, with a card. Tokens, logs and unfinished work stay here.

    Parameters
    ----------
    folder
        A study, a recording, a model, or what `cratelm view STUDY --export DIR` wrote, which becomes a static Space.
    repository
        OWNER/NAME on the hub; it is made unless it is there. The hub is off unless HF_HUB_OFFLINE=0, and the token that
        may write is read from HF_TOKEN alone.
    licence
        The licence of the text of which excerpts are sent, such as CC-BY-4.0, where cratelm does not know it.
    private
        Make a repository that only its owner sees.
    dry_run
        Print what would be sent, with sizes and the card, and send nothing.

    Examples
    --------
    cratelm push runs/laptop me/laptop --dry-run
    """
    from cratelm.hub.push import pack, send
    from cratelm.progress import Progress

    parcel = pack(folder, repository, licence)
    if dry_run:
        from rich.console import Console

        from cratelm.hub.listing import listing

        Console(highlight=False).print(listing(parcel), markup=False, soft_wrap=True)
        return
    with Progress() as progress:
        with progress.task(f"sending {len(parcel.contents.files)} files to {repository}"):
            url = send(parcel, private)
        progress.say(f"Sent: {url}. Next: {parcel.kind.then.format(repository=repository)}")

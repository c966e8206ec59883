"""What a push would send, as a person reads it before it happens."""

from collections import defaultdict
from collections.abc import Iterator

from cratelm.hub.push import Parcel


def listing(parcel: Parcel) -> str:
    """The files by folder with their sizes, what stays here, the licence of the text, and the card."""
    return "\n".join(_lines(parcel))


def _lines(parcel: Parcel) -> Iterator[str]:
    kind, contents = parcel.kind, parcel.contents
    size = f"{len(contents.files)} files, {_size(contents.bytes)}"
    yield f"{kind.name} -> {kind.repository_type} {parcel.repository}: {size}"
    yield from _table("would be sent", _by_folder(parcel))
    yield from _table("stays here", contents.at_home)
    yield f"licence of the text: {parcel.licence or 'not said'}"
    yield f"README.md:\n\n{parcel.card}"


def _table(title: str, sizes: dict[str, int]) -> Iterator[str]:
    yield f"{title}:" if sizes else f"{title}: nothing"
    yield from (f"  {_size(size):>10}  {name}" for name, size in sizes.items())


def _by_folder(parcel: Parcel) -> dict[str, int]:
    """The bytes of each folder of two names, such as records/crate; of other files those of each."""
    sizes: dict[str, int] = defaultdict(int)
    for name, file in parcel.contents.files.items():
        sizes["/".join(name.split("/")[:-1][:2]) or name] += file.stat().st_size
    return dict(sizes)


def _size(count: int) -> str:
    """Bytes as text: 13.2 MB."""
    return f"{count:,} B" if count < 1000 else f"{count / 1e3:,.1f} kB" if count < 1e6 else f"{count / 1e6:,.1f} MB"

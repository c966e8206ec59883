"""The disk: whether there is room, and whose fault it is where nothing can be written."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from cratelm.errors import InputError, RunError

FULL = (errno.ENOSPC, errno.EDQUOT)
DISK_FAULTS = (*FULL, errno.EROFS, errno.EIO)


def size(count: float) -> str:
    """A number of bytes for a person: `2.4 GB`, `13 kB`."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}" if count < 10 * unit else f"{count / unit:,.0f} {name}"
    return f"{count:,.0f} bytes"


def require_disk(folder: Path, needed: int, what: str) -> None:
    """Raise RunError where `folder`'s disk has less room than the bytes that `what` takes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RunError(
            f"{what} need about {size(needed)} in {folder}, and {size(free)} are free. Make room or choose another "
            "folder, then run the same command again."
        )


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Say what the disk is at fault for, also when torch, safetensors or tokenizers raise errors of their own."""
    try:
        yield
    except (InputError, RunError):
        raise
    except Exception as error:
        reason = write_fault(folder, error)
        if reason is None:
            raise
        raise RunError(
            f"writing to {folder} failed: {reason}. Mend that, then run the same command again to go on."
        ) from error


def write_fault(folder: Path, error: Exception) -> str | None:
    """Why nothing can be written to the folder, or None where the error is another one."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.strerror if error.errno in DISK_FAULTS else None
    said = [os.strerror(error_number) for error_number in DISK_FAULTS if os.strerror(error_number) in str(error)]
    if said:
        return said[0]
    # torch and safetensors do not always say why; tokenizers raises Exception itself.
    return _probe(folder) if isinstance(error, RuntimeError | SafetensorError) or type(error) is Exception else None


def _probe(folder: Path) -> str | None:
    """What the disk says to a megabyte."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(2**20))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as fault:
        return fault.strerror
    return None

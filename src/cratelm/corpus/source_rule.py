"""Which files of a Python package people wrote as source: what `python-packages` keeps of a package.

The rule reads a file's name and text alone, so that the same release gives the same documents on every machine.
"""

import re

VENDORED = re.compile(r"_?(vendor|vendored|vendored_templates|extern|externals?|third_?party|backports)|distutils")
"""Folders of other projects' code. numpy's copy of distutils is missing where Python is 3.12 or newer."""
COPIED_IN = re.compile(r"array_api_compat|array_api_extra|cobyqa|pyprima|_uarray|_appdirs|_docscrape")
"""Other projects that scipy and torch hold under their own names."""
GENERATED = re.compile(r"_?generated|_antlr|.*_pb2(_grpc)?")
BUILD = re.compile(r"__config__|_distributor_init|_*(generated_|repo_)?version")
"""Files that a build writes, so that they differ between a release's builds."""
MARKER = re.compile(
    r"#.*(auto(matically)?[ -]?generated|\bgenerated (by|from|with)\b|do not (edit|modify)|@generated)", re.I
)
"""What generators write into the comments at the head of a file."""
HEAD = 20
"""Lines that are the head of a file."""
DIGITS = 0.25
"""A file is mostly data where more than this share of its characters, spaces left out, are digits, ..."""
LONGEST_LINE = 2000
"""... or where a line has more characters than this."""


def is_source(name: str, text: str) -> bool:
    """Whether a file is source that people wrote: neither vendored, generated, written by a build, nor mostly data.

    `name` is the file's path as its package lists it, with `/` between the parts, such as `sympy/core/add.py`.
    """
    return not (_named_otherwise(name) or _says_generated(text) or _is_data(text))


def _named_otherwise(name: str) -> bool:
    *folders, file = name.removesuffix(".py").split("/")
    # On Windows, the tool that packs the libraries writes into the packages' outermost __init__.py.
    outermost = file == "__init__" and len(folders) == 1
    parts = [*folders, file]
    patterns = (VENDORED, COPIED_IN, GENERATED)
    return outermost or bool(BUILD.fullmatch(file)) or any(each.fullmatch(part) for part in parts for each in patterns)


def _says_generated(text: str) -> bool:
    return any(MARKER.search(line) for line in text.split("\n", HEAD)[:HEAD])


def _is_data(text: str) -> bool:
    written = sum(map(len, text.split()))
    digits = sum(map(text.count, "0123456789"))
    return digits > DIGITS * written or max(map(len, text.split("\n"))) > LONGEST_LINE

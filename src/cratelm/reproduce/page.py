"""The page of results: every comparison that is registered, each with its question, table, text and figure."""

from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from importlib.metadata import requires

import matplotlib

from cratelm.protocols import ENDPOINT
from cratelm.registry import registered
from cratelm.report.figures import STYLE
from cratelm.reproduce.results import Results, Table
from cratelm.reproduce.store import Result

HEAD = """# The paper's tables and figures, reproduced

Written by `cratelm reproduce` from the results in `cells/`: {done} of {asked} cells of the matrix. Missing cells are
not estimated: a table has no rows for them.

The primary endpoint is the {metric} score (strict, explainer `{explainer}`, mean over layers), CRATE minus GPT-2,
paired by training seed, on the corpus `{corpus}`. All other comparisons are secondary. Means are over seeds. A
difference has a 95% t interval over seeds; one seed has none. The interval contains the variance between training
seeds. Where it has the mark †, it contains the choice of held-out documents as well; all seeds are measured on the same
documents, so the others leave that out. Intervals are not corrected for their number; verdicts are. The paper's numbers
are next to ours under headings that say "compare signs only".

In a figure, a point is a mean over seeds, and its bars are that mean's 95% t interval over seeds. A line of a seed has
no bars.
"""
NOT_RUN = "No cell of this has been run."


@dataclass(frozen=True)
class Comparison:
    """A question to the results, and its part of the page."""

    name: str
    """Of its figure's file, too."""
    order: int
    """Its place on the page: the lowest first."""
    title: str
    """The question."""
    table: Callable[[Results], Table] | None = None
    text: str | Callable[[Results], str] = ""
    """How to read it, as Markdown."""
    figure: Callable[[Results], str | None] | None = None
    """As SVG; None where there is nothing to see in it. It is not asked for where the table has no rows."""


def comparisons() -> list[Comparison]:
    """All that modules of this package and entry points `cratelm.comparisons` register, in the order of the page."""
    return [*registered("cratelm.reproduce", Comparison, "cratelm.comparisons").values()]


def write_page(results: Results, figures: Container[str] = ()) -> str:
    """The page as Markdown, with the `figures` that were drawn, by name."""
    explainer, metric = ENDPOINT
    counts = {"done": len(results.cells), "asked": len(results.asked)}
    head = HEAD.format(**counts, metric=metric, explainer=explainer, corpus=results.corpus)
    return "\n".join([head, *(_part(one, results, one.name in figures) for one in comparisons())])


def draw_figures(results: Results) -> dict[str, str]:
    """The figures as SVG, by name."""
    with matplotlib.rc_context(STYLE):
        drawn = {one.name: one.figure(results) for one in comparisons() if one.figure and _has_rows(one, results)}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def _has_rows(comparison: Comparison, results: Results) -> bool:
    return comparison.table is None or bool(comparison.table(results)[1])


def _part(comparison: Comparison, results: Results, drawn: bool) -> str:
    text = comparison.text if isinstance(comparison.text, str) else comparison.text(results)
    figure = f"![{comparison.title}]({comparison.name}.svg)" if drawn else ""
    table = _markdown(*comparison.table(results)) if comparison.table else ""
    return "\n\n".join(filter(None, [f"## {comparison.title}", table, text, figure])) + "\n"


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) if rows else NOT_RUN


def what_was_run(results: Results) -> Table:
    """By question, corpus and machine: how many cells, of which seeds, and when."""
    by_origin: dict[tuple[str, ...], list[Result]] = {}
    for result in results.cells:
        run, cell = result["run"], result["cell"]
        origin = (cell["group"], cell["corpus"], run["machine"], run["torch"], result["training"]["precision"])
        by_origin.setdefault(origin, []).append(result)
    rows = []
    for (group, corpus, *where), cells in sorted(by_origin.items()):
        wanted = sum((cell.group, cell.corpus) == (group, corpus) for cell in results.asked)
        seeds = sorted({result["cell"]["seed"] for result in cells})
        dates = sorted({result["run"]["date"] for result in cells})
        hours = sum(result["run"]["processor_seconds"] for result in cells) / 3600
        counted = [f"{len(cells)} of {wanted}", ", ".join(map(str, seeds)), *where, ", ".join(dates)]
        rows.append([group, corpus, *counted, f"{hours:.1f}"])
    return ["for", "corpus", "cells", "seeds", "machine", "torch", "trained in", "dates", "processor hours"], rows


def torch_versions(used: Sequence[str]) -> str:
    """A sentence on the version of torch of each cell: how many cells ran on which, and what the package demands.

    It is empty where there are no cells.
    """
    if not used:
        return ""
    counts = Counter(used).most_common()
    listed = ", ".join(f"{count} of {len(used)} cells on {version}" for version, count in counts)
    return f"By version of torch: {listed}. The package demands torch {demanded('torch')}."


def demanded(package: str) -> str:
    """The versions of a dependency that cratelm's metadata allow, such as `<2.14,>=2.13`."""
    lines = [line.partition(";")[0].strip() for line in requires("cratelm") or ()]
    return next(line.removeprefix(package) for line in lines if line.startswith((f"{package}<", f"{package}>")))


def _origin(results: Results) -> str:
    versions = torch_versions([result["run"]["torch"] for result in results.cells])
    return f"{versions} The hours leave out what a cell had done before it was stopped, if it was.".strip()


WHAT_WAS_RUN = Comparison(name="run", order=10, title="What was run", table=what_was_run, text=_origin)

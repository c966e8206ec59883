"""The strongest units on a text, each over its tokens."""

from collections.abc import Sequence

from cratelm.notebook.markup import box, heat, marked, scale, short, text


def activations_view(tokens: Sequence[str], units: Sequence[tuple[str, Sequence[float]]]) -> str:
    """HTML of some units, by address with their activations on each of the tokens, the strongest first.

    Colours are on one scale: of the highest activation among them.
    """
    highest = max((max(values) for _, values in units), default=0)
    rows = "".join(_row(address, tokens, values, highest) for address, values in units)
    return box(
        "Activations", f"<h2>Strongest units <small>of {len(tokens)} tokens</small></h2>", scale(highest, None), rows
    )


def _row(address: str, tokens: Sequence[str], values: Sequence[float], highest: float) -> str:
    peak = max(range(len(values)), key=values.__getitem__)
    meta = f"<b>{text(address)}</b><span>max {short(values[peak])}</span><span>on {marked(tokens[peak])}</span>"
    return f'<article class="excerpt"><p class="meta">{meta}</p>{heat(tokens, values, highest)}</article>'

"""The kinds of conditions that there are, the simplest first: where two explain as much, the first is taken."""

from cratelm.explain.rules.class_kinds import TOKEN_CLASS, TOKEN_ENDING
from cratelm.explain.rules.condition import Condition, Kind
from cratelm.explain.rules.place_kinds import AS_BEFORE, INSIDE_OF, PLACE, PLACE_IN_LINE, SEEN_BEFORE
from cratelm.explain.rules.token_kinds import TOKEN_IS, TOKEN_RECENTLY

_IN_ORDER = (
    TOKEN_CLASS,
    INSIDE_OF,
    TOKEN_ENDING,
    PLACE,
    PLACE_IN_LINE,
    TOKEN_IS,
    SEEN_BEFORE,
    AS_BEFORE,
    TOKEN_RECENTLY,
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in _IN_ORDER}


def kind_of(condition: Condition) -> Kind:
    """The object that knows a condition."""
    return KINDS[condition.kind]

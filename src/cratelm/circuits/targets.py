"""What a person asks to be explained: a unit's address, or a next token, at a position of a text."""

import re

from transformers import PreTrainedTokenizerFast

from cratelm.circuits.attribution import Target
from cratelm.circuits.tape import Tape
from cratelm.errors import InputError
from cratelm.ranges import shown

UNIT = re.compile(r"(?:[^/=]*/)?(\d{1,9})/(\d{1,9})")
NEXT = "next"
LIKELIEST = f"{NEXT}, or {NEXT}=TOKEN such as '{NEXT}= good'"


def find_target(asked: str, against: str | None, tape: Tape, tokenizer: PreTrainedTokenizerFast) -> Target:
    """The target that `asked` names at the position whose logits the tape has.

    Raises InputError for anything that is neither a unit nor a next token.
    """
    if found := UNIT.fullmatch(asked):
        if against is not None:
            raise InputError("--against is for a next token: a unit is compared with none.")
        return Target(int(found[1]), int(found[2]), tape.at)
    name, _, token = asked.partition("=")
    if name != NEXT:
        raise InputError(
            f"{shown(asked)} is neither a unit nor a next token: give LAYER/UNIT such as 1/37, {LIKELIEST}."
        )
    number = token_of(token, tokenizer) if token else int(tape.logits.argmax())
    return Target(None, number, tape.at, None if against is None else token_of(against, tokenizer))


def token_of(text: str, tokenizer: PreTrainedTokenizerFast) -> int:
    """The id of a text that is one token; InputError where it is several, or none."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) != 1:
        raise InputError(
            f"{shown(text)} is {len(ids)} tokens of this model: give one token, with its space before it if any."
        )
    return ids[0]

"""What a model said: the words of its answer, without the reasoning before them, or why there are none.

A reasoning model writes a block such as `<think>…</think>` before its answer. Some servers move the block into a field
of its own (`reasoning_content`, `reasoning`); some chat templates write the opening tag, so the model writes only the
closing one.
"""

import re
from collections.abc import Mapping
from typing import Any

from cratelm.llm.model import STOP, Failure

CUT_OFF = "cut off while reasoning (allow more tokens with --llm-max-tokens)"
NO_WORDS = "no words"

_NAMES = "think|thinking|thought|reasoning"
_OPENING = re.compile(rf"\s*(?:<(?:{_NAMES})>|\[THINK\])", re.IGNORECASE)
_BLOCK = re.compile(rf"\s*(?:<({_NAMES})>.*?</\1>|\[THINK\].*?\[/THINK\])", re.IGNORECASE | re.DOTALL)
# Alone on its line: a text that is judged may hold the tag as well, and an answer may copy it.
_UNOPENED = re.compile(rf".*?^[ \t]*(?:</(?:{_NAMES})>|\[/THINK\])[ \t]*$", re.IGNORECASE | re.DOTALL | re.MULTILINE)


def words(text: str, cut_off: bool = False) -> str | Failure:
    """The answer in `text`, up to STOP; a Failure where `text` is white space, or reasoning that does not end.

    `cut_off` says that the limit on tokens ended the text.
    """
    answer = _without_reasoning(text)
    if answer is None:
        return Failure(CUT_OFF)
    # Servers without STOP in the request give the blank line that separates an answer from its reasoning.
    answer = answer.lstrip("\r\n").partition(STOP)[0]
    if answer.strip():
        return answer
    return Failure(CUT_OFF if cut_off else NO_WORDS)


def _without_reasoning(text: str) -> str | None:
    """`text` without its leading reasoning; None where the reasoning does not end."""
    while block := _BLOCK.match(text):
        text = text[block.end() :]
    if _OPENING.match(text):
        return None
    unopened = _UNOPENED.match(text)
    return text[unopened.end() :] if unopened else text


def reasons_unopened(text: str) -> bool:
    """Whether `text` begins with reasoning whose opening tag the chat template wrote."""
    return _OPENING.match(text) is None and _UNOPENED.match(text) is not None


def chat_words(choice: Mapping[str, Any], unopened: bool) -> str | Failure:
    """The answer in a choice of a chat completion; `unopened` where this model's reasoning has no opening tag."""
    message, finish = choice.get("message") or {}, choice.get("finish_reason")
    text = chat_text(message)
    if message.get("refusal"):
        return Failure("the model refused to answer")
    if finish == "content_filter":
        return Failure("held back by the server's content filter")
    if unopened and finish == "length" and not reasons_unopened(text):
        return Failure(CUT_OFF)
    said = words(text, cut_off=finish == "length")
    if said == Failure(NO_WORDS) and (message.get("reasoning_content") or message.get("reasoning")):
        return Failure("no words after its reasoning")
    return said


def chat_text(message: Mapping[str, Any]) -> str:
    """The text of a message, "" where it has none; some servers send a list of parts, reasoning among them."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if part.get("type") == "text")
    return content if isinstance(content, str) else ""

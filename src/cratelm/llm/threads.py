"""Questions asked side by side."""

from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")


def side_by_side(
    ask: Callable[[Question], Answer], questions: Sequence[Question], threads: int
) -> Iterator[tuple[int, Answer]]:
    """The answers as they come, each with the number of its question; raises the first error of `ask`.

    Once `ask` fails or the caller stops, no further question is asked.
    """
    waiting: SimpleQueue[tuple[int, Question]] = SimpleQueue()
    done: SimpleQueue[tuple[int, Answer | None, BaseException | None]] = SimpleQueue()
    stopped = Event()
    for numbered in enumerate(questions):
        waiting.put(numbered)
    # Daemons, which a pool of the standard library has not: where a server says "in two minutes", the client sleeps
    # for as long and cannot be woken, and an interrupted command must not wait for it.
    for _ in range(min(threads, len(questions))):
        Thread(target=_work, args=(ask, waiting, done, stopped), daemon=True).start()
    try:
        for _ in questions:
            question_index, answer, error = done.get()
            if error is not None:
                raise error
            yield question_index, answer  # type: ignore[misc]
    finally:
        stopped.set()


def _work(
    ask: Callable[[Question], Answer],
    waiting: "SimpleQueue[tuple[int, Question]]",
    done: "SimpleQueue[tuple[int, Answer | None, BaseException | None]]",
    stopped: Event,
) -> None:
    while not stopped.is_set():
        try:
            question_index, question = waiting.get_nowait()
        except Empty:
            return
        try:
            done.put((question_index, ask(question), None))
        except BaseException as error:  # which the caller's thread raises
            stopped.set()  # here already: until the caller has seen the error, this thread would ask the next question
            done.put((question_index, None, error))

"""A question about a user that others have to answer first: a directory, a service across the network.

Owns what is raised instead of an answer, and who waits for it. Refuses to know who is asked.

Nothing in the core and the dialects waits (docs/style.md, rule 10). So whoever asks "who is this" or "may they" either
gets the answer at once, or `Undecided` is raised; it goes up to the connection, which rests, and when the question is
decided takes what it was about to take once more (ADR 0050). Then the answer is known.

Invariant: what can raise `Undecided` comes before what changes anything.
"""

from __future__ import annotations

from collections.abc import Callable


class Question:
    """One that was asked, and who waits for its answer."""

    __slots__ = ("is_decided", "waiting")

    def __init__(self) -> None:
        self.is_decided = False
        self.waiting: list[Callable[[], object]] = []

    def when_decided(self, call: Callable[[], object]) -> None:
        """Call when there is an answer, whatever it is; at once where there is one."""
        if self.is_decided:
            call()
        else:
            self.waiting.append(call)

    def decide(self) -> None:
        """There is an answer: whoever waits asks again."""
        self.is_decided = True
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


class Undecided(Exception):  # noqa: N818 (it is no error)
    """Not an error: the answer is not there yet. Ask again when the question is decided."""

    def __init__(self, question: Question) -> None:
        super().__init__("the answer is awaited")
        self.question = question

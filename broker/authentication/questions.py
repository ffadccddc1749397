"""What is being asked of backends right now: each question once, and not more of them than may wait.

Owns the tasks that ask. Refuses to know what is asked, and where the answer is kept: whoever asks remembers it, and is
asked again by those who waited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable

from broker.core.undecided import Question


class Questions:
    """Of the whole broker. `enter`: called before what an answer sets going (Turn.enter)."""

    def __init__(self, waiting_max: int, enter: Callable[[], object]) -> None:
        self.waiting_max = waiting_max
        self.enter = enter
        self.asked: dict[Hashable, Question] = {}
        self.refused = 0
        """Those that were not asked, because too many waited."""
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, key: Hashable, find: Callable[[], Coroutine[None, None, None]]) -> Question | None:
        """The same question is asked once, however many wait for its answer. None: too many wait.

        `find` asks, remembers what is said, and raises nothing.
        """
        question = self.asked.get(key)
        if question is None:
            if len(self.asked) >= self.waiting_max:
                self.refused += 1
                return None
            question = self.asked[key] = Question()
            task = asyncio.get_running_loop().create_task(self._find(key, question, find))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return question

    async def _find(self, key: Hashable, question: Question, find: Callable[[], Coroutine[None, None, None]]) -> None:
        try:
            await find()
        finally:
            del self.asked[key]
        self.enter()
        question.decide()

    async def close(self) -> None:
        """Nobody is asked any more."""
        for task in list(self._tasks):
            task.cancel()

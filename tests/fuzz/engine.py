"""Draws inputs, runs a target, keeps what showed something new, and stops at the first finding.

The compiled modules cannot tell which of their lines ran, so what the broker *answered* stands in for coverage: an
input joins the corpus when its target saw a word that none saw before.
"""

from __future__ import annotations

import faulthandler
import mmap
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import script
from tests.fuzz.mutation import mutate, mutate_bytes
from tests.fuzz.scripted import SCRIPTED
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

INPUT_BYTES_MAX = 1 << 20
CORPUS_MAX = 4000
HANG_S = 60.0


@dataclass
class Finding:
    """An input that broke a target."""

    content: bytes
    error: BaseException


@dataclass
class Run:
    """What came of it."""

    target: str
    executions: int = 0
    seconds: float = 0.0
    seen: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)

    @property
    def text(self) -> str:
        return (
            f"{self.target}: {self.executions} executions in {self.seconds:.0f} s, {len(self.seen)} words seen, "
            f"{len(self.findings)} findings"
        )


class LastInput:
    """A file that always holds the input being tried: what is left of a process that crashed or hung."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(INPUT_BYTES_MAX + 8))
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)

    def keep(self, content: bytes) -> None:
        self.memory[: len(content) + 8] = len(content).to_bytes(8, "big") + content

    @staticmethod
    def read(path: Path) -> bytes:
        """The input in such a file."""
        kept = path.read_bytes()
        return kept[8 : 8 + int.from_bytes(kept[:8], "big")]


class Engine:
    """Fuzzes one target. The same `seed` draws the same inputs."""

    def __init__(self, target: str, seed: int, last: LastInput | None = None) -> None:
        self.last = last
        self.watched_at = 0.0
        self.run = Run(target)
        self.target = TARGETS[target]
        self.chance = random.Random(seed)
        self.corpus = seeds(target, seed)

    def draw(self) -> bytes:
        """The next input: a mutant of something in the corpus, or a new conversation."""
        base = self.chance.choice(self.corpus)
        scripted = SCRIPTED.get(self.run.target)
        if scripted is None:
            for _ in range(self.chance.choice([1, 1, 2, 4, 8])):
                base = mutate_bytes(self.chance, base)
            return base[:INPUT_BYTES_MAX]
        if self.chance.random() < 0.25:
            make = scripted.introduction if self.chance.random() < 0.1 else scripted.conversation
            return script.write(make(self.chance))[:INPUT_BYTES_MAX]
        others = list(script.read(self.chance.choice(self.corpus))) or [script.Step(0, b"")]
        steps = mutate(self.chance, list(script.read(base)), others, scripted.mutate_unit)
        return script.write(steps)[:INPUT_BYTES_MAX]

    def execute(self, content: bytes) -> None:
        """Run the target once. An execution that does not end ends the process, with a traceback."""
        if self.last is not None:
            self.last.keep(content)
            self.watch()
        self.run.executions += 1
        try:
            seen = self.target(content)
        except Exception as error:  # whatever it is, the target never lets it out
            self.run.findings.append(Finding(content, error))
            return
        if not seen <= self.run.seen:
            self.run.seen |= seen
            if len(self.corpus) < CORPUS_MAX:
                self.corpus.append(content)

    def watch(self) -> None:
        """Set the alarm anew now and then: each time costs a thread."""
        now = time.monotonic()
        if now - self.watched_at > 1.0:
            self.watched_at = now
            faulthandler.dump_traceback_later(HANG_S, exit=True)

    def fuzz(self, seconds: float, executions_max: int = 1 << 62, findings_max: int = 1) -> Run:
        """Until the time is over, or there are so many findings."""
        started = time.monotonic()
        for content in list(self.corpus):
            self.execute(content)
        while (
            time.monotonic() - started < seconds
            and self.run.executions < executions_max
            and len(self.run.findings) < findings_max
        ):
            self.execute(self.draw())
        faulthandler.cancel_dump_traceback_later()
        self.run.seconds = time.monotonic() - started
        return self.run


def shortened(target: str, content: bytes, tries: int = 400) -> bytes:
    """A script with fewer steps that breaks its target in the same way."""
    if target not in SCRIPTED:
        return content
    run = TARGETS[target]
    steps = list(script.read(content))

    def failure(candidate: list[script.Step]) -> str:
        try:
            run(script.write(candidate))
        except Exception as error:
            return f"{type(error).__name__} {type(error.__cause__).__name__} {str(error.__cause__)[:30]}"
        return ""

    wanted = failure(steps)
    size = max(1, len(steps) // 2)
    while wanted and size and tries:
        for start in range(0, len(steps), size):
            candidate = steps[:start] + steps[start + size :]
            tries -= 1
            if candidate and failure(candidate) == wanted:
                steps = candidate
                break
            if not tries:
                break
        else:
            size //= 2
    return script.write(steps)

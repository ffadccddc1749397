"""What runs under callgrind: each path's work between two marks. Started by `counting`, never by hand.

    python -m benchmarks.micro.measured PATH:MESSAGES ...

A mark is a call that nothing else makes, at which callgrind writes down what it counted since the last one. Prints how
many messages each path moved, one number a line.
"""

from __future__ import annotations

import gc
import os
import sys

from .all_paths import PATHS

WARM_UP_SHARE = 10


def mark() -> None:
    """callgrind dumps before this C function is entered (`counting.MARK`); what it does is of no interest."""
    os.getppid()


def main(words: list[str]) -> None:
    """Each word is a path's name, a colon, and how many messages."""
    gc.disable()
    for word in words:
        name, _colon, messages = word.partition(":")
        work = PATHS[name].work()
        for count in (max(1, int(messages) // WARM_UP_SHARE), int(messages)):
            moved = work.prepare(count)
            mark()
            work.run()
            mark()
            work.check()
        print(moved, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""kill -9 of the store alone, more often than a server can be killed: in a commit, in a checkpoint, in a replay.

A process writes numbers, each in a batch, and tells each that is on disk; it is killed at a random moment, sometimes
while it still takes over what the one before it left in the journal. What was told must be there, in order, once.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.lmdb_store import LmdbStore
from storage.view import StoreView

LIVES = 25
LIFE_MS_MAX = 250
QUEUE = 1
KEPT = 40

WRITER = """
import os, random, sys
from storage.layout import Database
from storage.lmdb_store import LmdbStore
from storage.view import StoredMessage, StoreView

directory, seed = sys.argv[1], int(sys.argv[2])
chance = random.Random(seed)
os.write(1, b"o")
store = LmdbStore(directory, disk_free_min_bytes=0, journal_bytes=256 << 10, checkpoint_ms=chance.choice([0, 5, 100]),
                  tidy_ms=0)
view = StoreView(store)
places = [(slot[1], (segment, slot[0])) for _, segment, *_ in store.restore({1}) for slot in view.load(segment, 1)]
number = max([place[0] for place in places], default=int(store.get(Database.SESSIONS, b"last") or b"0"))
assert number == int(store.get(Database.SESSIONS, b"last") or b"0"), "message and pair are one batch"
while True:
    number += 1
    size = 400_000 if chance.random() < 0.02 else chance.randrange(3000)
    places.append((number, view.append(StoredMessage(b"%d " % number + bytes(size)), 1, number)))
    store.put(Database.SESSIONS, b"last", b"%d" % number)
    while len(places) > 40:
        view.settle(*places.pop(0)[1])
    store.sync()
    os.write(1, b"%d\\n" % number)
"""


@pytest.mark.hubbub_only
def test_what_the_store_told_is_there_after_kill_9(tmp_path: Path) -> None:
    chance = random.Random(20261125)
    told = 0
    for life in range(LIVES):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "data"), str(life)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"o", process.stderr.read().decode()
        # the moment is the experiment: a fifth of the lives end while the store is being opened
        time.sleep(chance.random() * (0.01 if chance.random() < 0.2 else LIFE_MS_MAX / 1000))
        process.kill()
        output, errors = process.communicate(timeout=30)
        assert errors == b""
        lines = output.split(b"\n")[:-1]
        if lines:
            told = int(lines[-1])
        check(tmp_path / "data", told, keep_for_next=life % 2 == 0)
    assert told > 100


def check(directory: Path, told: int, keep_for_next: bool) -> None:
    """What is there goes up to the last number told, or one further, without a gap."""
    if keep_for_next:  # the next life takes the journal over itself
        return
    store = LmdbStore(directory, disk_free_min_bytes=0, journal_bytes=256 << 10)
    view = StoreView(store)
    found = [slot for _, segment, *_ in store.restore({QUEUE}) for slot in view.load(segment, QUEUE)]
    numbers = [slot[1] for slot in found]
    assert all(slot[5].body.startswith(b"%d " % slot[1]) for slot in found)
    if numbers:
        assert told <= numbers[-1] <= told + 1
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert min(told, KEPT) <= len(numbers) <= KEPT + 1
    else:
        assert told == 0
    store.abandon()

"""SIGKILL at random moments under confirmed load: what was accepted is there, what was committed stays gone.

HUBBUB_KILL_ROUNDS and HUBBUB_KILL_SEED change how often and how; the seed is told when it fails.
"""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict

import pytest

from tests.recovery import load
from tests.support.server import Server, peer_name

ROUNDS = int(os.environ.get("HUBBUB_KILL_ROUNDS", "20"))
SEED = int(os.environ.get("HUBBUB_KILL_SEED", str(random.SystemRandom().randrange(1 << 32))))
PUBLISHERS = 3
PUBLISHES_PER_LIFE_MAX = 1200


def one_life(server: Server, journal: load.Journal, chance: random.Random) -> None:
    """Start the server, work, and kill it in the middle of that."""
    server.start()
    load.declare_topology(server.address)
    workers: list[load.Worker] = [
        load.Publisher(server.address, journal, chance.getrandbits(32), number, PUBLISHES_PER_LIFE_MAX)
        for number in range(PUBLISHERS)
    ]
    workers.append(load.ConfirmingConsumer(server.address, journal, chance.getrandbits(32), load.DIRECT_QUEUE))
    workers.append(load.TransactionalConsumer(server.address, journal, chance.getrandbits(32), load.FANOUT_QUEUE))
    for worker in workers:
        worker.start()
    time.sleep(chance.choice((0.02, 0.1, 0.3, 0.6)) * (0.5 + chance.random()))
    server.kill()
    for worker in workers:
        worker.join(30)
        assert not worker.is_alive()
        assert worker.error is None, worker.error


def drain_and_judge(server: Server, journal: load.Journal) -> None:
    """Everything that is left must be exactly what may be left."""
    server.start()
    found: dict[str, set[load.Identity]] = defaultdict(set)
    for queue in load.QUEUES:
        last: dict[int, int] = {}
        for identity, redelivered in load.drain(server.address, queue):
            journal.on_delivery(queue, identity, redelivered, last)
            found[queue].add(identity)
    graves = [identity for identity, _ in load.drain(server.address, load.GRAVES)]
    assert journal.faults[:10] == []
    assert journal.missing(found)[:10] == []
    if journal.strict:
        rejected = {identity for identity in journal.committed[load.FANOUT_QUEUE] if identity[1] % 7 == 0}
        assert sorted(rejected - set(graves))[:10] == [], "rejected and committed, and not in the dead-letter queue"
        assert len(graves) == len(set(graves)), "a message was dead-lettered twice"
        both = set(graves) & found[load.FANOUT_QUEUE]
        assert sorted(both)[:10] == [], "dead-lettered, and still in its queue"


@pytest.mark.timeout(150)
def test_nothing_accepted_is_lost_and_nothing_committed_comes_back(own_server: Server) -> None:
    """The law of acceptance; order per publisher and queue; and redelivered says what was seen before."""
    chance = random.Random(SEED)
    journal = load.Journal(strict=peer_name() == "hubbub")
    try:
        for _ in range(ROUNDS):
            one_life(own_server, journal, chance)
            assert journal.faults[:10] == []
        drain_and_judge(own_server, journal)
    except AssertionError as fault:
        fault.add_note(f"HUBBUB_KILL_SEED={SEED}")
        raise
    assert len(journal.accepted) > 100 * ROUNDS, "hardly any load: the test proved nothing"
    assert own_server.stop() == 0
    own_server.assert_clean()

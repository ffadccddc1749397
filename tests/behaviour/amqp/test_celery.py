"""Celery: a real worker subprocess; tasks, chains, groups, chords, countdowns, retries, remote control over pidbox."""

from __future__ import annotations

import datetime
import importlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery
import celery.exceptions
import pytest

from tests.support.polling import eventually
from tests.support.server import REPOSITORY

MODULE = "tests.behaviour.amqp.celery_application"
RESULT_S = 20.0


@pytest.fixture(scope="module")
def tasks(amqp_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The application module, with a worker that runs its tasks."""
    directory = tmp_path_factory.mktemp("celery")
    environment = {
        "TEST_CELERY_BROKER": amqp_url,
        "TEST_CELERY_BACKEND": f"db+sqlite:///{directory / 'results.sqlite'}",
        "TEST_CELERY_QUEUE": f"celery.{uuid.uuid4().hex[:12]}",
    }
    os.environ.update(environment)
    sys.modules.pop(MODULE, None)
    module = importlib.import_module(MODULE)
    log_path = directory / "worker.log"
    with log_path.open("wb") as log:
        command = [sys.executable, "-m", "celery", "-A", f"{MODULE}:application", "worker"]
        options = [
            "--concurrency",
            "2",
            "--pool",
            "threads",
            "--loglevel",
            "INFO",
            "--hostname",
            f"w{os.getpid()}@test",
        ]
        worker = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=REPOSITORY,
            env={**os.environ, **environment, "PYTHONPATH": str(REPOSITORY)},
        )
    try:
        eventually(
            lambda: "ready." in log_path.read_text() or worker.poll() is not None, 40, 0.1, "the worker is ready"
        )
        assert worker.poll() is None, log_path.read_text()
        yield module
        worker.terminate()
        assert worker.wait(20) == 0, log_path.read_text()
        assert "Traceback" not in without_expected(log_path), log_path.read_text()
    finally:
        worker.kill()
        worker.wait(10)
        with module.application.connection() as connection:
            connection.default_channel.queue_delete(environment["TEST_CELERY_QUEUE"])
        module.application.close()


def without_expected(log_path: Path) -> str:
    """The log without the traceback of the task that fails on purpose."""
    text = log_path.read_text()
    return text if "on purpose" not in text else text.replace("Traceback", "", text.count("ValueError: on purpose"))


def test_a_task_returns_its_result(tasks: Any) -> None:
    """Publish, consume, acknowledge late."""
    assert tasks.add.delay(2, 3).get(RESULT_S) == 5


def test_many_tasks_all_return(tasks: Any) -> None:
    """A group, with the worker's prefetch in play."""
    result = celery.group(tasks.add.s(number, 1) for number in range(40)).apply_async()
    assert result.get(RESULT_S) == [number + 1 for number in range(40)]


def test_a_chain_passes_results_on(tasks: Any) -> None:
    """Each task publishes the next."""
    assert celery.chain(tasks.add.s(1, 2), tasks.add.s(10), tasks.add.s(100)).apply_async().get(RESULT_S) == 113


def test_a_chord_calls_back_when_all_are_done(tasks: Any) -> None:
    """celery.chord_unlock retries with a countdown until the group is complete."""
    assert celery.chord(tasks.add.s(number, number) for number in range(5))(tasks.total.s()).get(RESULT_S) == 20


def test_a_failure_travels_back(tasks: Any) -> None:
    """The exception is the result."""
    with pytest.raises(ValueError, match="on purpose"):
        tasks.fail.delay().get(RESULT_S)


def test_retries_come_again(tasks: Any) -> None:
    """Each retry is a new message with an eta."""
    assert tasks.third_time_lucky.delay().get(RESULT_S) == 2


def test_countdown_waits(tasks: Any) -> None:
    """The worker holds a message with an eta unacknowledged, and raises its global prefetch meanwhile."""
    began = time.time()
    results = [tasks.wall_clock.apply_async(countdown=1.0) for _ in range(12)]
    for result in results:
        assert result.get(RESULT_S) >= began + 0.95
    assert tasks.add.delay(1, 1).get(RESULT_S) == 2


def test_eta_waits(tasks: Any) -> None:
    """An absolute time."""
    eta = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=0.7)
    assert tasks.wall_clock.apply_async(eta=eta).get(RESULT_S) >= eta.timestamp() - 0.05


def test_an_expired_task_is_revoked(tasks: Any) -> None:
    """`expires` becomes the message's expiration, and the worker looks as well."""
    with pytest.raises(celery.exceptions.TaskRevokedError):
        tasks.add.apply_async((1, 1), countdown=0.6, expires=0.2).get(RESULT_S)


def test_ping_reaches_the_worker_over_pidbox(tasks: Any) -> None:
    """A fanout exchange to the worker, a direct exchange and an auto-delete queue with x-expires for the reply."""
    answers = eventually(lambda: tasks.application.control.ping(timeout=1.0), what="a pong")
    assert [list(answer.values()) for answer in answers] == [[{"ok": "pong"}]]


def test_inspect_tells_what_the_worker_consumes(tasks: Any) -> None:
    """Remote control with an answer of some size."""
    inspect = tasks.application.control.inspect(timeout=1.0)
    (queues,) = eventually(inspect.active_queues, what="active queues").values()
    assert [queue["name"] for queue in queues] == [os.environ["TEST_CELERY_QUEUE"]]


def test_revoke_stops_a_task_that_waits(tasks: Any) -> None:
    """A broadcast over pidbox."""
    result = tasks.add.apply_async((1, 1), countdown=1.5)
    result.revoke()
    with pytest.raises(celery.exceptions.TaskRevokedError):
        result.get(RESULT_S)


def test_a_worker_takes_up_and_leaves_a_queue_from_afar(tasks: Any) -> None:
    """add_consumer and cancel_consumer: declare, consume and cancel on the worker's running channel."""
    queue = f"celery.{uuid.uuid4().hex[:12]}"
    control = tasks.application.control
    added = control.add_consumer(queue, exchange=queue, routing_key=queue, reply=True, timeout=5, limit=1)
    assert "ok" in str(added)
    assert tasks.add.apply_async((4, 4), queue=queue).get(RESULT_S) == 8
    cancelled = control.cancel_consumer(queue, reply=True, timeout=5, limit=1)
    assert "ok" in str(cancelled)
    with tasks.application.connection() as connection:
        assert connection.default_channel.queue_declare(queue, passive=True).consumer_count == 0
        connection.default_channel.queue_delete(queue)
        connection.default_channel.exchange_delete(queue)

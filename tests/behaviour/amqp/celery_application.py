"""The Celery application of `test_celery`: the test sends tasks, and a worker subprocess runs this very module.

Its broker and its result backend (SQLite through SQLAlchemy: the rpc backend cannot do chords) come by the environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import celery

application = celery.Celery(
    "tests",
    broker=os.environ["TEST_CELERY_BROKER"],
    backend=os.environ["TEST_CELERY_BACKEND"],
)
application.conf.update(
    task_default_queue=os.environ["TEST_CELERY_QUEUE"],
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
    task_track_started=True,
    worker_hijack_root_logger=False,
    task_acks_late=True,
    result_chord_retry_interval=0.1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
)


def task(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Celery's decorator, with a type."""

    def register(function: Callable[..., Any]) -> Any:
        return application.task(**options)(function)

    return register


@task()
def add(x: int, y: int) -> int:
    return x + y


@task()
def total(numbers: list[int]) -> int:
    return sum(numbers)


@task(bind=True, max_retries=5)
def third_time_lucky(self: Any) -> int:
    if self.request.retries < 2:
        raise self.retry(countdown=0.1)
    return int(self.request.retries)


@task()
def fail() -> None:
    raise ValueError("on purpose")


@task()
def wall_clock() -> float:
    return time.time()


@task()
def doze(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"

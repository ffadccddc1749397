"""`hubbub drain` and `hubbub reload` against the HTTP API of a real core."""

from __future__ import annotations

import asyncio
import json

import pytest

from broker.draining import Draining
from tests.unit.commands.test_commands import Run, run, server
from tests.unit.management.conftest import ObservedCore

__all__ = ["run", "server"]  # fixtures


async def drained(run: Run, server: ObservedCore, *arguments: str) -> asyncio.Task[str]:
    """The command at work; the broker knows of it."""

    async def output() -> str:
        return (await run("drain", *arguments)).output

    task = asyncio.create_task(output())
    while not server.draining.is_begun:
        await asyncio.sleep(0.01)
    return task


async def test_a_drain_is_over_when_another_broker_answers_in_its_place(run: Run, server: ObservedCore) -> None:
    task = await drained(run, server, "--after", "60")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(task), 0.5)
    server.draining = Draining(lambda: 0)  # as after a restart
    server.broker.raise_alarm("disk", "which is full, and does not drain")

    assert await asyncio.wait_for(task, 10) == "draining: it stops in 60 s; 0 connections\nit has stopped\n"


async def test_a_drain_need_not_be_waited_for(run: Run, server: ObservedCore) -> None:
    task = await drained(run, server, "--after", "60", "--no-wait")

    assert await asyncio.wait_for(task, 10) == "draining: it stops in 60 s; 0 connections\n"


async def test_a_reload_says_each_key(run: Run, server: ObservedCore) -> None:
    assert (await run("reload")).output == "log.level: changed\namqp.port: needs a restart\n"
    server.wrong_settings = "hubbub.yaml:3: amqp.prot: expected one of address, port"

    assert "hubbub: the broker refused (400): hubbub.yaml:3" in (await run("reload", status=1)).output


async def test_the_settings_in_force_are_shown(run: Run) -> None:
    assert (await run("config", "running")).output.startswith("amqp:\n  port: 5672\n")
    assert json.loads((await run("config", "running", "--json")).output)["users"][0]["password"] == "***"

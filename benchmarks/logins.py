"""What a storm of logins does to those who are in: `python -m benchmarks.logins [--rate 200] [--seconds 10]`.

    publisher ──QoS 1, 100 a second──▶ broker ──▶ the same client     how long each message takes there and back
    newcomers ──CONNECT with a password that is new, RATE a second    how long each waits for its CONNACK

Each newcomer is another user, none of whom the broker has seen since its start: every login costs a hash. The figures
of both are percentiles in milliseconds, first without newcomers, then with them.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import tempfile
import time
import urllib.request
from pathlib import Path

from argon2 import PasswordHasher

from .process import MQTT, free_port
from .systems import Hubbub

PUBLISH_INTERVAL_S = 0.01
AWAITED_S = 20.0
"""How long the last messages may take to come back."""
GUEST = "Basic " + base64.b64encode(b"guest:guest").decode()


def string(text: str) -> bytes:
    """MQTT's UTF-8 string (3.1.1 §1.5.3)."""
    return len(text).to_bytes(2, "big") + text.encode()


def packet(header: int, body: bytes) -> bytes:
    """A control packet of less than 128 octets."""
    return bytes((header, len(body))) + body


async def entered(port: int, name: str, password: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
    """A connection after its CONNACK (MQTT 3.1.1), and the return code."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = string("MQTT") + bytes((4, 0xC2, 0, 0)) + string(f"{name}-{time.monotonic_ns()}")
    writer.write(packet(0x10, body + string(name) + string(password)))
    return reader, writer, (await reader.readexactly(4))[3]


async def there_and_back(port: int, seconds: float) -> list[float]:
    """How long each message of a client to itself took, in milliseconds."""
    reader, writer, code = await entered(port, "guest", "guest")
    assert code == 0, code
    writer.write(packet(0x82, bytes(2)[:1] + b"\1" + string("here") + b"\0"))
    await reader.readexactly(5)
    times: list[float] = []

    async def read() -> None:
        while True:
            head, size = await reader.readexactly(2)
            body = await reader.readexactly(size)
            if head >> 4 == 3:
                times.append((time.monotonic_ns() - int.from_bytes(body[-8:], "big")) / 1e6)

    reading = asyncio.create_task(read())
    until, number, count = time.monotonic() + seconds, 0, 0
    while time.monotonic() < until:
        number = number % 60_000 + 1
        sent = time.monotonic_ns().to_bytes(8, "big")
        writer.write(packet(0x32, string("here") + number.to_bytes(2, "big") + sent))
        count += 1
        await asyncio.sleep(PUBLISH_INTERVAL_S)
    until = time.monotonic() + AWAITED_S
    while len(times) < count and time.monotonic() < until:
        await asyncio.sleep(PUBLISH_INTERVAL_S)
    reading.cancel()
    writer.close()
    return times


async def newcomers(port: int, names: list[str], rate: float) -> tuple[list[float], int]:
    """How long each waited for its CONNACK, in milliseconds, and how many were refused."""
    waits: list[float] = []
    refused = 0

    async def come(name: str) -> None:
        nonlocal refused
        began = time.monotonic()
        try:
            _, writer, code = await entered(port, name, "secret")
        except (OSError, asyncio.IncompleteReadError):
            refused += 1
            return
        writer.close()
        if code:
            refused += 1
        else:
            waits.append((time.monotonic() - began) * 1000)

    began, tasks = time.monotonic(), []
    for number, name in enumerate(names):
        await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(come(name)))
    await asyncio.wait(tasks, timeout=1.0)
    return waits, refused


def told(title: str, milliseconds: list[float]) -> None:
    """One line."""
    ordered = sorted(milliseconds) or [0.0]
    at = {share: ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.99)}
    print(f"{title:40} n={len(milliseconds):6} p50={at[0.5]:8.2f} p99={at[0.99]:8.2f} max={ordered[-1]:8.2f} ms")


def add_users(port: int, names: list[str]) -> None:
    """By definitions, all with the same hash."""
    hashed = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash("secret")
    users = [{"name": name, "password_hash": hashed, "hashing_algorithm": "argon2id", "tags": []} for name in names]
    rights = [{"user": name, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"} for name in names]
    body = json.dumps({"users": users, "permissions": rights}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/definitions", body, method="POST")
    request.add_header("Authorization", GUEST)
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request, timeout=60).close()


def main() -> None:
    """One broker, twice."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks.logins", description=__doc__)
    arguments.add_argument("--rate", type=float, default=200.0, help="logins per second")
    arguments.add_argument("--seconds", type=float, default=10.0)
    chosen = arguments.parse_args()
    names = [f"user{number}" for number in range(int(chosen.rate * chosen.seconds))]
    with tempfile.TemporaryDirectory(prefix="hubbub-logins-") as directory:
        broker = Hubbub(Path(directory))
        management = free_port()
        broker.settings = (f"management.port={management}",)
        broker.start()
        try:
            add_users(management, names)
            port = broker.ports[MQTT]
            told("messages, nobody comes", asyncio.run(there_and_back(port, chosen.seconds)))

            async def both() -> tuple[list[float], tuple[list[float], int]]:
                return await asyncio.gather(
                    there_and_back(port, chosen.seconds + 1), newcomers(port, names, chosen.rate)
                )

            messages, (waits, refused) = asyncio.run(both())
        finally:
            broker.stop()
    told(f"messages, {chosen.rate:g} logins a second", messages)
    told("logins that were let in", waits)
    print(f"{refused} refused, {len(names) - refused - len(waits)} still waited a second after the last had come")


if __name__ == "__main__":
    main()

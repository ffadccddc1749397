"""Full disks, failing fsync, truncated files, two servers on one directory, SIGTERM: said clearly, and nothing lost."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.recovery.conftest import MakeHubbub
from tests.support.amqp_raw import Method, PeerClosedError, RawConnection
from tests.support.polling import eventually
from tests.support.server import HubbubServer, Server, accepts
from tests.support.skipping import skip_unless_ci

PERSISTENT = {"delivery_mode": 2}
BODY = b"x" * 16_384
QUEUE = "failures"


def open_channel(server: Server, declare: bool = True) -> RawConnection:
    """A raw connection with a channel in confirm mode and the durable queue."""
    connection = RawConnection(server.address, timeout_s=15).open().open_channel()
    if declare:
        connection.rpc("queue.declare", queue=QUEUE, durable=True)
    connection.rpc("confirm.select")
    return connection


def publish_confirmed(connection: RawConnection, count: int) -> None:
    """`count` persistent messages, each confirmed before the next."""
    for _ in range(count):
        connection.publish("", QUEUE, BODY, PERSISTENT)
        connection.expect("basic.ack")


def message_count(server: Server) -> int:
    connection = RawConnection(server.address).open().open_channel()
    count: int = connection.rpc("queue.declare", queue=QUEUE, passive=True).fields["message_count"]
    connection.close()
    return count


def take(server: Server, count: int) -> int:
    """Consume up to `count` messages with acknowledgements."""
    connection = RawConnection(server.address, timeout_s=15).open().open_channel()
    taken = 0
    while taken < count:
        connection.send("basic.get", queue=QUEUE)
        got = connection.read_method()
        if got.name == "basic.get-empty":
            break
        connection.send("basic.ack", delivery_tag=got.fields["delivery_tag"])
        taken += 1
    connection.rpc("basic.qos")
    connection.close()
    return taken


# ---- disk full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB, in memory."""
    path = tmp_path / "small"
    path.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        skip_unless_ci("mounting a tmpfs needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(path)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        skip_unless_ci(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def publish_until(connection: RawConnection, stop: Callable[[Method], bool], count_max: int) -> int:
    """Publish one by one until `stop` likes an answer or there is none for two seconds; returns the confirmed count."""
    confirmed = 0
    connection.socket.settimeout(2)
    with contextlib.suppress(TimeoutError):
        for _ in range(count_max):
            connection.publish("", QUEUE, BODY, PERSISTENT)
            answer = connection.read_method()
            while answer.name != "basic.ack":
                if stop(answer):
                    return confirmed
                answer = connection.read_method()
            confirmed += 1
    return confirmed


@pytest.mark.hubbub_only
def test_a_disk_below_its_limit_blocks_publishers_until_there_is_room(
    make_hubbub: MakeHubbub, small_disk: Path
) -> None:
    """connection.blocked, consumers go on, connection.unblocked, publishing resumes; nothing confirmed is lost."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(12 << 20))
    server = make_hubbub({"disk_free_min_bytes": 8 << 20}, data_directory=small_disk / "data")
    server.start()
    publisher = open_channel(server)
    blocked: list[str] = []

    def is_blocked(answer: Method) -> bool:
        if answer.name == "connection.blocked":
            blocked.append(answer.fields["reason"])
        return bool(blocked)

    confirmed = publish_until(publisher, is_blocked, 1500)
    assert blocked, f"{confirmed} messages of {len(BODY)} bytes were confirmed and nobody was blocked"
    assert "disk" in blocked[0]
    assert confirmed > 10
    assert take(server, 10) == 10, "consumers go on"
    assert message_count(server) >= confirmed - 10
    ballast.unlink()
    publisher.socket.settimeout(20)
    heard = set()
    while "connection.unblocked" not in heard:
        heard.add(publisher.read_method().name)
    if "basic.ack" not in heard:
        publisher.expect("basic.ack")  # the publish that was waiting
    publish_confirmed(publisher, 10)
    server.kill()
    server.start()
    assert confirmed <= message_count(server) <= confirmed + 12
    assert server.stop() == 0
    server.assert_clean()


@pytest.mark.hubbub_only
def test_a_disk_that_is_really_full_loses_nothing_that_was_accepted(make_hubbub: MakeHubbub, small_disk: Path) -> None:
    """ENOSPC from the store itself: no confirm, an honest log, and a server that works again when there is room."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(20 << 20))
    server = make_hubbub({"disk_free_min_bytes": 0}, data_directory=small_disk / "data")
    server.start()
    publisher = open_channel(server)
    stopped = ("connection.blocked", "basic.nack", "channel.close", "connection.close")
    with contextlib.suppress(OSError, PeerClosedError):
        confirmed = publish_until(publisher, lambda answer: answer.name in stopped, 2000)
    assert 10 < confirmed < 2000
    assert re.search(r"(?i)disk|no space", server.log), server.log[-2000:]
    ballast.unlink()
    publisher.close()

    def publishing_resumes() -> bool:
        with contextlib.suppress(OSError, PeerClosedError, AssertionError):
            again = RawConnection(server.address, timeout_s=3).open().open_channel()
            again.rpc("confirm.select")
            again.publish("", QUEUE, BODY, PERSISTENT)
            while (answer := again.read_method()).name in ("connection.blocked", "connection.unblocked"):
                continue
            again.close()
            return answer.name == "basic.ack"
        return False

    if server.process is not None and server.process.poll() is None:
        eventually(publishing_resumes, 25, 0.3, "publishing resumes when there is room")
    server.kill()
    server.start()
    assert message_count(server) >= confirmed
    assert server.stop() == 0
    server.assert_clean()


def fill_up(directory: Path, leave_bytes: int = 0) -> Path:
    """A file that takes all the room of the file system but `leave_bytes`."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    os.truncate(ballast, max(0, ballast.stat().st_size - leave_bytes))
    return ballast


@pytest.mark.hubbub_only
@pytest.mark.parametrize("leave_bytes", [0, 1 << 16, 1 << 20])
def test_a_journal_that_a_full_disk_has_no_room_to_take_over_is_told_and_kept(
    make_hubbub: MakeHubbub, small_disk: Path, leave_bytes: int
) -> None:
    """Killed with accepted messages in the journal alone; another program fills the disk; then the broker starts."""
    server = make_hubbub(
        {"disk_free_min_bytes": 0, "durability.journal_bytes": 8 << 20}, data_directory=small_disk / "data"
    )
    server.start()
    publish_confirmed(open_channel(server), 100)
    server.kill()
    ballast = fill_up(small_disk, leave_bytes)
    before = len(server.log)
    process = server.spawn()
    eventually(lambda: process.poll() is not None or accepts(server.address), 20, 0.05, "it starts, or says why not")
    said = server.log[before:]
    if process.poll() is None:  # the checkpoint came just before the kill: hardly anything was in the journal
        assert message_count(server) == 100
        server.kill()
    else:
        assert server.wait() == 1
        assert re.search(r"journal cannot be taken over .*No space left.* Nothing is lost: free about \d+ KiB", said)
    ballast.unlink()
    server.start()
    assert message_count(server) == 100
    assert server.stop() == 0
    server.assert_clean()


@pytest.mark.hubbub_only
def test_a_broker_that_was_stopped_starts_on_a_full_disk_and_lets_consumers_drain(
    make_hubbub: MakeHubbub, small_disk: Path
) -> None:
    """Nothing is in the journal then; what is consumed stays consumed once there is room."""
    server = make_hubbub({"disk_free_min_bytes": 0}, data_directory=small_disk / "data")
    server.start()
    publish_confirmed(open_channel(server), 50)
    assert server.stop() == 0
    ballast = fill_up(small_disk)
    server.start()
    assert take(server, 20) == 20
    ballast.unlink()
    publish_confirmed(open_channel(server), 1)  # its confirm says that what was before it is on disk
    server.kill()
    server.start()
    assert message_count(server) == 31
    assert server.stop() == 0
    server.assert_clean()


@pytest.mark.hubbub_only
@pytest.mark.parametrize("leave_bytes", [0, 8 << 10, 16 << 10, 32 << 10, 64 << 10])
def test_a_first_start_on_a_full_disk_names_the_directory(
    make_hubbub: MakeHubbub, small_disk: Path, leave_bytes: int
) -> None:
    """No data are there yet: a sentence, and nothing half-made in the way of the next start."""
    server = make_hubbub({"disk_free_min_bytes": 0}, data_directory=small_disk / "data")
    ballast = fill_up(small_disk, leave_bytes)
    process = server.spawn()
    eventually(lambda: process.poll() is not None or accepts(server.address), 20, 0.05, "it starts, or says why not")
    if process.poll() is None:
        server.kill()  # what was left was enough
    else:
        assert server.wait() == 1
        assert re.search(rf"{re.escape(str(small_disk / 'data'))}.*No space left", server.log), server.log
    ballast.unlink()
    server.start()
    publish_confirmed(open_channel(server), 1)
    assert server.stop() == 0
    server.assert_clean()


# ---- failing fsync

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Once the file named by TEST_FSYNC_FAILS exists, nothing reaches the disk for certain any more. */
static int failing(void) {
    const char *trigger = getenv("TEST_FSYNC_FAILS");
    return trigger && access(trigger, F_OK) == 0;
}
#define FAIL_IF_TRIGGERED if (failing()) { errno = EIO; return -1; }

int fsync(int fd) {
    FAIL_IF_TRIGGERED
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd) {
    FAIL_IF_TRIGGERED
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
int msync(void *address, size_t length, int flags) {
    FAIL_IF_TRIGGERED
    return ((int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "msync"))(address, length, flags);
}
"""


@pytest.fixture
def fsync_shim(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """The environment for a server whose fsync fails once the returned trigger file exists."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        skip_unless_ci("a C compiler is needed for the fsync shim")
    source, library, trigger = tmp_path / "shim.c", tmp_path / "shim.so", tmp_path / "fsync-fails"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "TEST_FSYNC_FAILS": str(trigger)}, trigger


@pytest.mark.hubbub_only
def test_after_a_failed_fsync_nothing_is_confirmed(
    make_hubbub: MakeHubbub, fsync_shim: tuple[dict[str, str], Path]
) -> None:
    """A failed fsync may have lost pages for good: acceptance stops, the log says why, what was confirmed is there."""
    environment, trigger = fsync_shim
    server = make_hubbub(environment=environment)
    server.start()
    publisher = open_channel(server)
    publish_confirmed(publisher, 20)
    trigger.touch()
    answers: list[str] = []
    publisher.socket.settimeout(2)
    with contextlib.suppress(OSError, PeerClosedError):
        for _ in range(10):
            publisher.publish("", QUEUE, BODY, PERSISTENT)
        while True:
            answers.append(publisher.read_method().name)
    assert "basic.ack" not in answers, answers
    assert "tx.commit-ok" not in answers
    eventually(lambda: re.search(r"(?i)fsync|fdatasync|input/output error|EIO", server.log), 5, what="the log says why")
    assert "Traceback" not in server.log, server.log[-4000:]
    trigger.unlink()
    server.kill()
    server.environment.pop("LD_PRELOAD")
    server.start()
    assert message_count(server) >= 20
    assert server.stop() == 0


# ---- damaged files


def filled_and_stopped(make_hubbub: MakeHubbub) -> HubbubServer:
    server = make_hubbub()
    server.start()
    publisher = open_channel(server)
    publish_confirmed(publisher, 50)
    publisher.close()
    assert server.stop() == 0
    return server


def largest_file(directory: Path) -> Path:
    """By blocks on the disk: a sparse file's size means nothing."""
    return max((path for path in directory.rglob("*") if path.is_file()), key=lambda path: path.stat().st_blocks)


@pytest.mark.hubbub_only
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9])
def test_a_truncated_data_file_is_told_not_traced(make_hubbub: MakeHubbub, keep: float) -> None:
    """The server says what is wrong and exits non-zero, or starts with what is intact; no traceback, no signal."""
    server = filled_and_stopped(make_hubbub)
    damaged = largest_file(server.data_directory)
    size = min(damaged.stat().st_size, damaged.stat().st_blocks * 512)
    os.truncate(damaged, int(size * keep))
    before = len(server.log)
    process = server.spawn()
    eventually(lambda: process.poll() is not None or accepts(server.address), 20, 0.05, "it starts, or says why not")
    said = server.log[before:]
    if process.poll() is None:
        with contextlib.suppress(AssertionError):
            take(server, 60)  # whatever is intact; a channel closed with an error is an answer as well
        RawConnection(server.address).open().open_channel().rpc("basic.qos")
        assert server.stop() == 0
    else:
        assert server.wait() > 0, "ended by a signal"
        assert damaged.name in said or str(server.data_directory) in said, said
    server.assert_clean()


@pytest.mark.hubbub_only
def test_a_second_server_on_the_same_directory_is_refused(make_hubbub: MakeHubbub) -> None:
    """Two writers would destroy each other's work; the first one does not notice."""
    first = make_hubbub()
    first.start()
    publisher = open_channel(first)
    second = make_hubbub(data_directory=first.data_directory)
    second.spawn()
    assert second.wait(20) > 0
    assert str(first.data_directory) in second.log, second.log
    second.assert_clean()
    publish_confirmed(publisher, 3)
    assert first.stop() == 0


@pytest.mark.hubbub_only
def test_a_taken_port_is_told(make_hubbub: MakeHubbub) -> None:
    """The start-up error names the port."""
    first = make_hubbub()
    first.start()
    second = make_hubbub({"amqp.port": first.port})
    second.spawn()
    assert second.wait(20) > 0
    assert str(first.port) in second.log
    second.assert_clean()


# ---- SIGTERM


def test_sigterm_tells_clients_and_keeps_what_was_confirmed(own_server: Server) -> None:
    """connection.close with 320, exit code 0, and everything accepted is there after the start."""
    own_server.start()
    publisher, idle = open_channel(own_server), open_channel(own_server)
    publish_confirmed(publisher, 20)
    assert own_server.process is not None
    own_server.process.terminate()
    close = idle.expect("connection.close")
    assert close.fields["reply_code"] == 320
    assert close.fields["reply_text"].startswith("CONNECTION_FORCED")
    for connection in (idle, publisher):
        with contextlib.suppress(OSError):  # a server in a hurry has closed already
            connection.send("connection.close-ok")
    assert own_server.wait() == 0
    own_server.assert_clean()
    own_server.start()
    assert message_count(own_server) == 20
    assert own_server.stop() == 0


@pytest.mark.hubbub_only
def test_sigterm_under_load_exits_soon_and_keeps_what_was_confirmed(make_hubbub: MakeHubbub) -> None:
    """Draining is bounded: a client that does not answer does not hold up the exit."""
    server = make_hubbub()
    server.start()
    publisher = open_channel(server)
    publisher.send_bytes(b"".join(publisher.encode_publish("", QUEUE, b"m", PERSISTENT) for _ in range(500)))
    assert server.process is not None
    server.process.terminate()
    began = time.monotonic()
    confirmed = 0
    with contextlib.suppress(OSError, PeerClosedError):
        while True:
            answer = publisher.read_method()
            if answer.name == "basic.ack":
                tag = answer.fields["delivery_tag"]
                confirmed = tag if answer.fields["multiple"] else confirmed + 1
    assert server.wait(20) == 0
    assert time.monotonic() - began < 15
    server.assert_clean()
    server.start()
    assert message_count(server) >= confirmed
    assert server.stop() == 0

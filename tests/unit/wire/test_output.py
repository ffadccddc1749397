"""The output of a connection, and the pool that its memory comes from."""

from __future__ import annotations

import pytest

from broker.wire.buffers import BufferPool
from broker.wire.connection import Connection, PythonConnection
from broker.wire.output import Output


def _connection(output: Output) -> PythonConnection:
    connection = PythonConnection()
    connection.attach(output)
    return connection


def test_what_is_written_comes_out_in_order_and_once() -> None:
    pool = BufferPool()
    output = Output(pool)
    connection = _connection(output)
    written = b""
    for index in range(3000):
        piece = bytes([index % 256]) * (index % 97)
        connection.send(piece)
        written += piece

    assert output.pending_bytes == len(written)
    assert output.take() == written
    assert output.take() == b""
    assert output.bytes_sent == len(written)


def test_an_output_owns_memory_only_while_something_is_pending() -> None:
    pool = BufferPool()
    output = Output(pool)
    connection = _connection(output)
    assert pool.taken_bytes == 0
    connection.send(b"x")
    assert pool.taken_bytes == 16 * 1024
    connection.send(b"x" * 100_000)
    assert pool.taken_bytes == 256 * 1024
    output.take()

    assert pool.taken_bytes == 0
    assert pool.kept_bytes == (16 + 256) * 1024


def test_the_next_burst_starts_with_a_buffer_as_large_as_the_last_one() -> None:
    pool = BufferPool()
    connection = _connection(Output(pool))
    connection.send(b"x" * 100_000)
    connection.output.take()
    connection.send(b"x")

    assert pool.taken_bytes == 256 * 1024


def test_it_is_full_above_the_high_mark() -> None:
    connection = _connection(Output(BufferPool(), high_bytes=1000))
    connection.send(b"x" * 1000)
    assert not connection.output.is_full
    connection.send(b"x")
    assert connection.output.is_full
    connection.output.take()
    assert not connection.output.is_full


def test_more_than_the_limit_cuts_the_peer_off_and_frees_the_memory() -> None:
    pool = BufferPool()
    connection = _connection(Output(pool, bytes_max=50_000))
    for _ in range(7):
        connection.send(b"x" * 10_000)

    assert connection.output.is_closed
    assert pool.taken_bytes == 0
    connection.send(b"x")
    assert connection.output.take() == b""


def test_nothing_is_taken_after_close() -> None:
    connection = _connection(Output())
    connection.send(b"before")
    connection.output.close()
    connection.send(b"after")

    assert connection.output.is_full
    assert connection.output.take() == b"before"


def test_abort_drops_what_is_pending() -> None:
    pool = BufferPool()
    connection = _connection(Output(pool))
    connection.send(b"x")
    connection.output.abort()

    assert connection.output.take() == b""
    assert pool.taken_bytes == 0


@pytest.mark.parametrize("size", [1, 16384, 16385, 1 << 20, (4 << 20) + 1])
def test_buffers_of_every_class_are_large_enough_and_given_back(size: int) -> None:
    pool = BufferPool()
    connection = _connection(Output(pool, bytes_max=1 << 30))
    connection.send(b"x" * size)
    assert pool.taken_bytes >= size
    assert connection.output.take() == b"x" * size
    assert pool.taken_bytes == 0


def test_the_pool_keeps_no_more_than_it_may() -> None:
    pool = BufferPool(kept_bytes_max=40_000)
    outputs = [_connection(Output(pool)) for _ in range(5)]
    for connection in outputs:
        connection.send(b"x")
    for connection in outputs:
        connection.output.take()

    assert pool.kept_bytes == 2 * 16 * 1024


def test_a_dropped_output_gives_its_memory_back() -> None:
    pool = BufferPool()
    connection = _connection(Output(pool))
    connection.send(b"x")
    del connection

    assert pool.taken_bytes == 0


def test_connections_are_numbered() -> None:
    first, second = Connection(), Connection()

    assert first.number >= 1
    assert second.number == first.number + 1


def test_shutting_down_closes_the_output_where_the_dialect_has_no_words() -> None:
    connection = _connection(Output())
    connection.shut_down("maintenance")

    assert connection.output.is_closed


def test_a_connection_without_a_dialect_takes_nothing() -> None:
    with pytest.raises(NotImplementedError):
        Connection().feed(b"x")

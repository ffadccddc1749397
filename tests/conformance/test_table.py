"""The table of conformance is whole and current."""

from __future__ import annotations

from tests.conformance import table


def test_every_statement_that_binds_a_server_has_a_test() -> None:
    assert table.missing() == []


def test_the_table_is_current() -> None:
    assert table.DOCUMENT.read_text() == table.text(), "run python -m tests.conformance.table"

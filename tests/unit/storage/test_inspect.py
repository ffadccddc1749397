"""`python -m storage.inspect`: what it reports, of which directories, and what it says where there is nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import lmdb
import pytest

from storage.inspect import main as inspect_main
from storage.inspect import report
from storage.layout import SCHEMA_VERSION, Database
from storage.lmdb_store import LmdbStore
from storage.view import StoredMessage, StoreView


def test_the_report_shows_what_is_there_beside_a_running_broker(tmp_path: Path) -> None:
    data = tmp_path / "data"
    store = LmdbStore(data)
    view = StoreView(store)
    places = [view.append(StoredMessage(b"x" * 100), index % 2) for index in range(10)]
    store.put(Database.DEFINITIONS, bytes.fromhex("0005") + b"queue" + bytes.fromhex("0001") + b"/", b"")
    store.sync()
    view.settle(*places[0])
    store.sync()
    store.checkpoint()
    command = [sys.executable, "-m", "storage.inspect", str(data)]
    found: dict[str, Any] = json.loads(subprocess.run([*command, "--json"], capture_output=True, check=True).stdout)
    assert (found["schema_version"], found["node_id"]) == (SCHEMA_VERSION, store.node_id)
    assert (found["segments"], found["slots"], found["slots_live"], found["records"]) == (1, 10, 9, 10)
    assert found["queues"] == {"0": {"slots": 5, "live": 4}, "1": {"slots": 5, "live": 5}}
    assert found["definitions"] == {"queue": 1}
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert "9 live of 10 slots" in text
    assert "journal" not in text
    store.put(Database.SESSIONS, b"k", b"v")  # and the broker goes on
    store.sync()
    store.close()


def test_the_report_reads_a_directory_that_lacks_a_database_of_this_version(tmp_path: Path) -> None:
    data = tmp_path / "data"
    LmdbStore(data).close()
    with lmdb.open(str(data), max_dbs=len(Database)) as environment:
        deliveries = environment.open_db(b"deliveries")
        with environment.begin(write=True) as transaction:
            transaction.drop(deliveries)

    found = report(data)

    assert found["entries"].keys() == {database.name.lower() for database in Database} - {"deliveries"}


def test_the_report_of_what_is_not_there_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect_main([str(tmp_path)]) == 1
    assert "holds no data.mdb" in capsys.readouterr().err

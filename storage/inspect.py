"""`python -m storage.inspect DIR [--json]`: what a data directory holds, without changing it.

Owns a report for people and scripts: schema, definitions by kind, segments, live slots by queue, bytes. Works beside
a running broker: it reads one consistent state through LMDB's read-only mode, in a process of its own (never import
this into a broker: the environment may be opened once per process).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb

from storage.directory import FILE_NAME
from storage.errors import StoreError
from storage.journal_file import open_journal
from storage.layout import META_JOURNAL, META_NODE_ID, META_SCHEMA, Database, definition_kind, settled_key
from storage.recovery import journaled_batches
from storage.segment import describe


def report(directory: Path) -> dict[str, Any]:
    """The state of `directory`. FileNotFoundError without a data file; lmdb.Error or ValueError if it is damaged."""
    file = directory / FILE_NAME
    if not file.exists():
        raise FileNotFoundError(f"{directory} holds no {FILE_NAME}")
    environment = lmdb.open(str(directory), readonly=True, max_dbs=len(Database), create=False, max_readers=126)
    try:
        databases = dict(_databases(environment))
        with environment.begin(buffers=True) as transaction:
            meta = {bytes(key): bytes(value) for key, value in transaction.cursor(databases[Database.META])}
            kinds = Counter(
                definition_kind(bytes(key)) for key, _ in transaction.cursor(databases[Database.DEFINITIONS])
            )
            return {
                "directory": str(directory),
                "schema_version": int(meta.get(META_SCHEMA, b"0")),
                "node_id": meta.get(META_NODE_ID, b"").decode(),
                "definitions": dict(sorted(kinds.items())),
                "entries": {
                    database.name.lower(): transaction.stat(opened)["entries"] for database, opened in databases.items()
                },
                **_segments(transaction, databases),
                **_journal(directory, meta.get(META_JOURNAL)),
                "file_bytes": file.stat().st_size,
            }
    finally:
        environment.close()


def _journal(directory: Path, mark: bytes | None) -> dict[str, int]:
    """What is only in the journal: the figures above do not count it, the next start or checkpoint takes it over."""
    found = open_journal(directory)
    if found is None or mark is None:
        return {"journaled_batches": 0, "journaled_bytes": 0}
    file, half_bytes = found
    try:
        batches = journaled_batches(file, half_bytes, int.from_bytes(mark[:8], "big"), int.from_bytes(mark[8:], "big"))
    finally:
        os.close(file)
    return {"journaled_batches": len(batches), "journaled_bytes": sum(map(len, batches))}


def _databases(environment: Any) -> Iterator[tuple[Database, Any]]:
    """Those that are there: an older version had fewer."""
    for database in Database:
        with contextlib.suppress(lmdb.NotFoundError):
            yield database, environment.open_db(database.name.lower().encode(), create=False)


def _segments(transaction: Any, databases: dict[Database, Any]) -> dict[str, Any]:
    """Totals over all segments, and the slots of each queue id."""
    numbers: set[bytes] = set()
    queues: dict[int, dict[str, int]] = {}
    totals = Counter({"slots": 0, "live": 0, "records": 0, "bytes": 0})
    for key, value in transaction.cursor(databases[Database.SEGMENTS]):
        number = bytes(key[:8])
        numbers.add(number)
        settled = transaction.get(settled_key(int.from_bytes(number, "big")), db=databases[Database.SETTLED])
        part = describe(value, bytes(settled) if settled is not None else b"")
        totals.update(slots=part["slots"], live=part["live"], records=part["records"], bytes=part["bytes"])
        for queue_id, share in part["queues"].items():
            line = queues.setdefault(queue_id, {"slots": 0, "live": 0})
            line["slots"] += share["slots"]
            line["live"] += share["live"]
    return {
        "segments": len(numbers),
        "slots": totals["slots"],
        "slots_live": totals["live"],
        "records": totals["records"],
        "segment_bytes": totals["bytes"],
        "queues": dict(sorted(queues.items())),
    }


def _text(found: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"data directory   {found['directory']}",
        f"schema version   {found['schema_version']}",
        f"node id          {found['node_id']}",
        f"file             {found['file_bytes']} bytes",
        f"segments         {found['segments']} with {found['slots_live']} live of {found['slots']} slots, "
        f"{found['records']} records, {found['segment_bytes']} bytes",
    ]
    if found["journaled_batches"]:
        lines.append(
            f"journal          {found['journaled_batches']} batches of {found['journaled_bytes']} bytes are not yet "
            "in the figures"
        )
    lines += [f"definitions      {count} {kind}" for kind, count in found["definitions"].items()]
    lines += [f"entries          {count} in {name}" for name, count in found["entries"].items()]
    lines += [
        f"queue {queue_id:<10} {line['live']} live of {line['slots']} slots"
        for queue_id, line in found["queues"].items()
    ]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """0, or 1 with a sentence on stderr where the directory cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m storage.inspect", description="Report what a data directory holds."
    )
    parser.add_argument("directory", type=Path)
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args(arguments)
    try:
        found = report(chosen.directory)
    except (OSError, ValueError, StoreError, lmdb.Error) as error:
        print(f"cannot inspect {chosen.directory}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found, indent=2) if chosen.json else _text(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())

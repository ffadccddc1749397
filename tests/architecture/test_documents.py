"""The documents tell the truth where that can be checked: links lead somewhere, files that are named are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from storage.layout import Database
from tests.support.sources import ROOT, source_files

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
FENCED = re.compile(r"```.*?```", re.S)


@pytest.mark.parametrize("document", source_files(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file(document: Path) -> None:
    targets = LINK.findall(FENCED.sub("", document.read_text()))
    missing = [each for each in targets if "://" not in each and not (document.parent / each).exists()]
    assert missing == []


ANCHORED = re.compile(r"\]\(([^)#\s]*)#([^)\s]*)\)")
HEADING = re.compile(r"^#+ (.*)$", re.M)


def anchors(document: Path) -> set[str]:
    """Of a document's headings, as GitHub makes them."""
    headings = HEADING.findall(FENCED.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("document", source_files(".md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_into_a_document_leads_to_a_heading(document: Path) -> None:
    targets = ANCHORED.findall(FENCED.sub("", document.read_text()))
    missing = [
        f"{name}#{anchor}"
        for name, anchor in targets
        if "://" not in name and anchor not in anchors(document.parent / name if name else document)
    ]
    assert missing == []


def test_the_index_of_operations_names_every_page() -> None:
    index = (ROOT / "docs/operations.md").read_text()

    pages = [page.name for page in (ROOT / "docs/operations").iterdir()]
    assert len(pages) >= 8
    assert [page for page in pages if f"(operations/{page})" not in index] == []


def test_the_map_in_the_readme_names_what_is_there() -> None:
    rows = re.findall(r"^\| (`.*?) \| ", (ROOT / "README.md").read_text(), re.M)
    assert len(rows) >= 8
    for row in rows:
        names = re.findall(r"`([^`]+)`", row)
        home = Path(names[0]).parent
        for name in names:
            assert (ROOT / name).exists() or (ROOT / home / name).exists(), name


def test_every_module_of_the_hot_path_stands_in_the_journey() -> None:
    """A compiled module of the dialect or the core that the architecture does not name is one that nobody will find."""
    text = (ROOT / "docs/architecture.md").read_text()
    for path in [*ROOT.glob("broker/amqp/*.pyx"), *ROOT.glob("broker/core/*.pyx")]:
        assert re.search(rf"\b{path.stem}\b", text), path.name


def test_every_module_and_package_of_the_broker_stands_in_the_table_of_imports() -> None:
    document = (ROOT / "docs/architecture.md").read_text()
    table = set(re.findall(r"`(broker\.\w+)`", document[: document.index("## Hot and cold")]))
    there = {
        f"broker.{path.stem}"
        for path in (ROOT / "broker").iterdir()
        if (path.suffix in {".py", ".pyx"} or (path / "__init__.py").exists()) and not path.stem.startswith("__")
    }

    assert table == there


def test_every_database_of_the_store_is_described() -> None:
    document = (ROOT / "docs/storage.md").read_text()

    assert [each.name for each in Database if f"| `{each.name.lower()}` |" not in document] == []

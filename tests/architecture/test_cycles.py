"""No module imports one that imports it: over `import` and `cimport`, as they happen when the broker starts.

An interface (.pxd) and its implementation are two nodes: a `cimport` reads the interface alone. What is imported for
type checkers only, or within a function, is not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FROM = re.compile(r"^([ \t]*)from\s+([\w.]+)\s+(c?)import\s+(\([^)]*\)|[^\n]*)", re.M)
PLAIN = re.compile(r"^([ \t]*)(c?)import\s+([^\n#]+)", re.M)
TYPES_ONLY = re.compile(r"^if TYPE_CHECKING:\n(?:(?:[ \t]+[^\n]*)?\n)+", re.M)

Graph = dict[str, set[str]]


def interface(module: str) -> str:
    return f"{module}.pxd"


def nodes() -> dict[str, Path]:
    """Every module of ours; an interface by its own name."""
    found = {}
    for package in ("storage", "broker"):
        for path in (ROOT / package).rglob("*"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if path.suffix in {".py", ".pyx"}:
                found[module] = path
            elif path.suffix == ".pxd":
                found[interface(module)] = path
    return found


def wanted(text: str) -> Iterator[tuple[bool, str, str]]:
    """What a source imports at its own level: (a cimport, the module, a name within it or "")."""
    text = TYPES_ONLY.sub("", re.sub(r'"""(?:.|\n)*?"""', "", text))
    for indent, module, c, names in FROM.findall(text):
        if not indent:
            for name in re.findall(r"\w+", re.sub(r"#[^\n]*", "", names)):
                yield bool(c), module, name
    for indent, c, names in PLAIN.findall(text):
        if not indent:
            for name in names.split(","):
                yield bool(c), name.split()[0], ""


def graph(sources: dict[str, str]) -> Graph:
    """Who imports whom, by the nodes' names."""
    found: Graph = {}
    for node, text in sources.items():
        found[node] = {interface(node)} & sources.keys()
        for is_c, module, name in wanted(text):
            candidates = [f"{module}.{name}", module]
            targets = [interface(each) for each in candidates] if is_c else candidates
            found[node].update([each for each in targets if each in sources][:1])
    return found


def cycle(imports: Graph) -> list[str]:
    """One cycle, in the order of its imports; empty where there is none."""
    done: set[str] = set()
    for start in imports:
        path: list[str] = []
        waiting = [(start, iter(sorted(imports[start])))] if start not in done else []
        path = [start] if waiting else []
        while waiting:
            node, others = waiting[-1]
            other = next(others, None)
            if other is None:
                done.add(node)
                waiting.pop()
                path.pop()
            elif other in path:
                return [*path[path.index(other) :], other]
            elif other not in done:
                path.append(other)
                waiting.append((other, iter(sorted(imports[other]))))
    return []


def test_nobody_imports_who_imports_them() -> None:
    found = cycle(graph({node: path.read_text() for node, path in nodes().items()}))

    assert not found, " → ".join(found)


def test_a_vhost_does_not_even_name_the_broker_that_holds_it() -> None:
    assert "broker.core.broker " not in (ROOT / "broker/core/vhost.py").read_text()


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"a": "import b", "b": "from c import d\n", "c": "d = 1"}, []),
        ({"a": "import b", "b": "from c import d\n", "c": "import a"}, ["a", "b", "c", "a"]),
        ({"p.a": "from p import b", "p.b": "from p.a import (\n    x,  # why\n)", "p": ""}, ["p.a", "p.b", "p.a"]),
        ({"a": "if TYPE_CHECKING:\n    import b\n", "b": "import a"}, []),
        ({"a": "def f():\n    import b\n", "b": "import a"}, []),
        ({"a": "from b cimport x", "a.pxd": "", "b": "from a cimport y", "b.pxd": ""}, []),
        ({"a": "", "a.pxd": "from b cimport x", "b": "", "b.pxd": "cimport a"}, ["a.pxd", "b.pxd", "a.pxd"]),
    ],
)
def test_the_reader_tells_a_cycle_from_none(sources: dict[str, str], expected: list[str]) -> None:
    assert cycle(graph(sources)) == expected

"""The house stays tidy: short files and functions, a docstring per module, good names, nothing left over."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import msgspec
import pytest

from broker.config import Settings
from tests.support.sources import ROOT, source_files

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60

# What is longer than the rule, how long it may be, and why. Lower a figure when you shorten the thing; never raise one.
LONG_FILES: dict[str, tuple[int, str]] = {}
LONG_FUNCTIONS: dict[str, tuple[int, str]] = {}

FORBIDDEN_NAMES = re.compile(r"manager|handler|helper|util|common|misc|^data$|^info$|_info$|_data$|stuff")
LEFT_OVER = re.compile(r"\b(TO" + "DO|FIX" + "ME|X" + "XX|HA" + "CK)\b")
FUNCTION = re.compile(
    r"(?P<indent>\s*)(?:cpdef|cdef|async\s+def|def)\s+(?!class\b|extern\b|struct\b)[^=(]*?(?P<name>\w+)\("
)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


CODE = source_files(".py", ".pyx", ".pxd")
PRODUCT = [path for path in CODE if path.relative_to(ROOT).parts[0] in {"broker", "storage", "bridges"}]


@pytest.mark.parametrize("path", CODE, ids=_name)
def test_files_are_short(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    allowed, reason = LONG_FILES.get(_name(path), (FILE_LINES_MAX, ""))

    assert lines <= allowed, f"{lines} lines; split it, or list it with a reason"
    assert not reason or lines > FILE_LINES_MAX, "short enough by now: take it off the list"


def function_lengths(text: str) -> dict[str, int]:
    """Lines of each function of a Python or Cython text, by name: from its head to its last line indented deeper."""
    lines = text.splitlines()
    found: dict[str, int] = {}
    for first, line in enumerate(lines):
        head = FUNCTION.match(line)
        if head is None:
            continue
        body = first
        while body < len(lines) and not lines[body].split("#")[0].rstrip().endswith(":"):
            body += 1
        last = body
        for number in range(body + 1, len(lines)):
            if lines[number].strip():
                if len(lines[number]) - len(lines[number].lstrip()) <= len(head.group("indent")):
                    break
                last = number
        found[head.group("name")] = last - first + 1
    return found


@pytest.mark.parametrize("path", [path for path in CODE if path.suffix != ".pxd"], ids=_name)
def test_functions_are_short(path: Path) -> None:
    for name, length in function_lengths(path.read_text()).items():
        allowed, _ = LONG_FUNCTIONS.get(f"{_name(path)}:{name}", (FUNCTION_LINES_MAX, ""))
        assert length <= allowed, f"{name} has {length} lines; split it, or list it with a reason"


def test_the_measure_of_functions() -> None:
    text = "def one(\n    a,\n):\n    x\n\n    y\n\ncdef int two(int a) except -1:\n    return 1\n"
    text += "cdef class C(B):\n    def three(self):\n        pass\n"

    assert function_lengths(text) == {"one": 6, "two": 2, "three": 2}


@pytest.mark.parametrize("path", PRODUCT, ids=_name)
def test_every_module_says_what_it_owns(path: Path) -> None:
    text = re.sub(r"\A(#.*\n)+", "", path.read_text())
    if path.name == "__init__.py" and not text.strip():
        return
    assert text.startswith('"""'), "begins with a docstring"


@pytest.mark.parametrize("path", CODE, ids=_name)
def test_nothing_is_left_over(path: Path) -> None:
    found = LEFT_OVER.search(path.read_text())
    assert found is None, f"says {found and found.group()}"


@pytest.mark.parametrize("path", PRODUCT, ids=_name)
def test_names_say_what_a_thing_is(path: Path) -> None:
    assert not FORBIDDEN_NAMES.search(path.stem)
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            assert not FORBIDDEN_NAMES.search(node.name.lower()), f"line {node.lineno}: {node.name}"


def test_the_lists_of_exceptions_name_what_is_there() -> None:
    for name in [*LONG_FILES, *(key.partition(":")[0] for key in LONG_FUNCTIONS)]:
        assert (ROOT / name).is_file(), name


def _setting_names(section: type, prefix: str = "") -> list[str]:
    names = []
    for each in msgspec.structs.fields(section):
        inner = each.type if isinstance(each.type, type) and issubclass(each.type, msgspec.Struct) else None
        names += _setting_names(inner, f"{prefix}{each.name}.") if inner else [f"{prefix}{each.name}"]
    return names


@pytest.mark.parametrize("setting", _setting_names(Settings))
def test_no_setting_does_nothing_and_each_is_documented(setting: str) -> None:
    name = setting.rpartition(".")[2]
    readers = [
        path
        for path in PRODUCT
        if path.name not in {"config.py", "authentication_settings.py", "limits.py"} and path.suffix != ".pxd"
    ]

    assert any(re.search(rf"\.{name}\b", path.read_text()) for path in readers), "nobody reads it"
    page = "authentication.md" if setting.startswith("authentication.") else "operations/settings.md"
    assert f"`{setting}`" in (ROOT / "docs" / page).read_text()

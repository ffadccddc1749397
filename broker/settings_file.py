"""A file of settings as it is written: a tree of values, and on which line each stands.

Owns YAML, and the words for what is none. Refuses to know any setting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class ConfigError(Exception):
    """The settings cannot be used. The text is for the operator: `FILE:LINE: key.path: expected …, got …`."""


def read(path: Path, places: dict[str, str]) -> dict[str, Any]:
    """The tree; `places` learns where each key stands: `FILE:LINE`. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: expected UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: expected YAML: {error.problem}") from None
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{path}:{root.start_mark.line + 1}: expected a mapping of settings, got {_kind(root)}")
    value = _value(root, "", path, places)
    assert isinstance(value, dict)
    return value


def _value(node: yaml.Node, key: str, path: Path, places: dict[str, str]) -> Any:
    """The node's value; remembers on which line each key stands."""
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for name_node, value_node in node.value:
            name = str(name_node.value)
            inner = f"{key}.{name}" if key else name
            if name in mapping:
                raise ConfigError(f"{path}:{name_node.start_mark.line + 1}: {inner}: expected once, got twice")
            places[inner] = f"{path}:{name_node.start_mark.line + 1}"
            mapping[name] = _value(value_node, inner, path, places)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            places[f"{key}[{index}]"] = f"{path}:{item.start_mark.line + 1}"
            items.append(_value(item, f"{key}[{index}]", path, places))
        return items
    try:
        return yaml.SafeLoader("").construct_object(node, deep=True)
    except (yaml.MarkedYAMLError, ValueError) as error:
        problem = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
        raise ConfigError(f"{path}:{node.start_mark.line + 1}: {key}: expected a value, got {problem}") from None


def _kind(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else f"`{node.value}`"

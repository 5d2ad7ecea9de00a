"""YAML as run files have it: plain data without surprises, and every mistake with its line and column."""

from __future__ import annotations

from typing import Any

import yaml

from stack_core.errors import ConfigError

_Safe: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):  # type: ignore[misc]  # the C loader where PyYAML has it, known only when it runs
    """Dates stay text (`api_version: 2024-06-01`), and a key that comes twice is a mistake: the first would be lost."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
        for first, found in _Safe.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """The mapping of a node whose keys all differ."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value!r} comes twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _refused(loader: Any, node: Any) -> Any:
    kind = node.tag.rpartition(":")[2]
    raise yaml.constructor.ConstructorError(None, None, f"!!{kind} has no place in a run file", node.start_mark)


for _kind in ("binary", "set", "omap", "pairs"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _refused)


def read_yaml(text: str, label: str = "the cell") -> Any:
    """Plain data from YAML.

    Raises:
        ConfigError: with line and column.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{label}{place}: not valid YAML: {what}", "check indentation, colons and quotes") from error


def compose(text: str) -> Any:
    """The nodes of a text that `read_yaml` has read, for the lines in which things stand."""
    return yaml.compose(text, Loader=_Loader)

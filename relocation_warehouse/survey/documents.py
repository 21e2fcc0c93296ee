"""Read a YAML 1.2 document fast: the catalog and the contract are read by many steps of every refresh.

Belongs here: text to plain Python values, by libyaml with the rules of YAML 1.2 (a bare `no` is a text, not false), and
the line of a place in a document. Does not belong here: what a document means (`catalog`, `folder`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent
from yaml.nodes import MappingNode, SequenceNode

YAMLError = yaml.YAMLError
"""What an unreadable document raises; `problem_mark` has the place where there is one."""


class _Loader(yaml.CSafeLoader):
    """YAML 1.2 core schema; a key that is given twice is a mistake."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (the library's own)

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise ConstructorError(
                    None, None, "a key is a list or a mapping; give a word", key_node.start_mark
                )
            if key in keys:
                raise ConstructorError(None, None, f"{key!r} is given twice; keep one", key_node.start_mark)
            keys.add(key)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    """Decimal even with a leading zero, as YAML 1.2 has it."""
    text = loader.construct_scalar(node)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


MOST_CHARACTERS, MOST_NODES, DEEPEST = 2**22, 200_000, 40
"""Length, number of values and depth that no declaration of a survey has."""


MOST_BYTES = 2**26
"""Size that no declaration of a survey has."""


def require_own(path: Path) -> None:
    """See that a declaration may be read at all: its folder comes from strangers.

    Raises
    ------
    OSError
        It is a folder, a pipe or a device, a link that leads out of its folder, or larger than any declaration. What
        is behind a link is not looked at, so that its words are in no message.
    """
    # a link to itself leads nowhere, which `stat` says
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(path.parent)):
        raise OSError(
            "is a link that leads out of its folder, and is not followed; put the file itself there"
        )
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError("is no file but a folder, a pipe or a device; put a file there")
    if status.st_size > MOST_BYTES:
        raise OSError(
            f"has {status.st_size:,} bytes, more than the {MOST_BYTES:,} that a declaration may have"
        )


def read_yaml(path: Path) -> Any:
    """Values of a YAML file.

    Raises
    ------
    OSError, UnicodeDecodeError
        The file cannot be read, or is not UTF-8.
    YAMLError
        It is no YAML, or gives a key twice.
    """
    return yaml.load(path.read_text(encoding="utf-8"), _Loader)


def read_strange_yaml(path: Path) -> Any:
    """Values of a YAML file that a stranger wrote, whose aliases may stand for themselves or for billions.

    Raises
    ------
    OSError, UnicodeDecodeError
        The file cannot be read (`require_own`), or is not UTF-8.
    YAMLError
        See `read_yaml`; or it is larger or nested deeper than anything that is read, also with its aliases written
        out, or holds a number that is none.
    """
    require_own(path)
    text = path.read_text(encoding="utf-8")
    if len(text) > MOST_CHARACTERS:
        raise YAMLError(f"has {len(text):,} characters, more than the {MOST_CHARACTERS:,} that are read")
    _check_extent(text)
    try:
        return yaml.load(text, _Loader)
    except ValueError as error:
        raise YAMLError(str(error)) from error


def _check_extent(text: str) -> None:
    """Count the values of a document, each alias as all that it stands for, before any of them is made."""
    sizes: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    count = 0
    event: Any
    for event in yaml.parse(text, _Loader):
        why = ""
        if isinstance(event, AliasEvent):
            count += sizes.get(event.anchor or "", 1)
            if any(anchor == event.anchor for anchor, _ in opened):
                why = f"{event.anchor!r} refers to itself"
        elif isinstance(event, CollectionStartEvent):
            opened.append((event.anchor, count))
            count += 1
        elif isinstance(event, CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = count - before
        elif isinstance(event, ScalarEvent):
            count += 1
        if len(opened) > DEEPEST or count > MOST_NODES:
            why = "is nested too deep or holds too many values"
        if why:
            raise ConstructorError(None, None, why, event.start_mark)


def line_of(path: Path, place: Sequence[str | int]) -> int | None:
    """Line of a place in a YAML file, such as ("files", 0, "path"), or of the deepest part of it that is there."""
    line: int | None = None
    node = yaml.compose(path.read_text(encoding="utf-8"), _Loader)
    for step in place:
        if isinstance(node, MappingNode):
            places = [(key, value) for key, value in node.value if key.value == step]
        elif isinstance(node, SequenceNode) and isinstance(step, int):
            places = [(value, value) for value in node.value[step : step + 1]]
        else:
            break
        if not places:
            break
        line, node = places[0][0].start_mark.line + 1, places[0][1]
    return line

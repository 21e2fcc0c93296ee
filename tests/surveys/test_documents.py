"""YAML is read fast and by the rules of YAML 1.2, the same as by a parser written for them."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.survey.documents import YAMLError, read_yaml

DECLARED = ("catalog", "literature", "surveys")
FILES = sorted(path for folder in DECLARED for path in (CHECKOUT / "data" / folder).rglob("*.yml"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_agrees_on_every_declared_file(path: Path) -> None:
    assert read_yaml(path) == YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "yes",
        "on",
        "012",
        "0o17",
        "0x1F",
        "1e3",
        "12:30:45",
        "1_000",
        ".5",
        "-.inf",
        "~",
        "2019-08-06",
        "",
    ],
)
def test_bare_words_are_read_as_yaml_1_2(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text(f"a: {text}\n", encoding="utf-8")
    expected = YAML(typ="safe", pure=True).load(f"a: {text}\n")["a"]
    if text == "2019-08-06":  # a date stays the text that was written
        expected = text
    if text == "1_000":
        expected = text
    assert read_yaml(path) == {"a": expected}
    assert type(read_yaml(path)["a"]) is type(expected)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none())
def test_numbers_come_back(value: float | bool | None) -> None:
    with NamedTemporaryFile("w", suffix=".yml") as file:
        file.write("null" if value is None else str(value).lower())
        file.flush()
        assert read_yaml(Path(file.name)) == value


def test_a_key_given_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("a: 1\nb: 2\na: 3\n", encoding="utf-8")
    with pytest.raises(YAMLError, match=r"'a' is given twice(.|\n)*line 3"):
        read_yaml(path)

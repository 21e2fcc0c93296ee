"""The page on real surveys names tests that are there."""

import re

from relocation_warehouse.ground.paths import CHECKOUT


def test_every_test_that_is_named_is_there() -> None:
    page = (CHECKOUT / "docs" / "real-surveys.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+/test_\w+)`", page))
    assert len(named) > 12
    assert not [name for name in named if not (CHECKOUT / "tests" / f"{name}.py").is_file()]

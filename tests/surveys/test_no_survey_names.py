"""A survey is data: no code names a survey, a region, a place, a site or an indicator."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from relocation_warehouse.survey.catalog import load_catalog
from relocation_warehouse.survey.folder import list_survey_folders, load_folder
from relocation_warehouse.survey.vocabulary import VALUELESS_RULES, Rule, Site

ROOT = Path(__file__).parents[2]
CATALOG = load_catalog(ROOT / "data" / "catalog")
FOLDERS = [load_folder(p, CATALOG.indicator) for p in list_survey_folders(ROOT / "data" / "surveys")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = (
    *(name.removesuffix("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]),
    *("benchmarks", "dbt"),
)
WRITTEN = ("macros", "models", "tests")
"""Folders of dbt that are written by hand; the others are its output."""


def code() -> list[Path]:
    """Every Python, SQL and template file that is not a test."""
    matching = [
        p
        for name in PACKAGES
        for p in (ROOT / name).rglob("*")
        if p.suffix in (".py", ".sql", ".j2", ".html")
    ]
    dbt = ROOT / "dbt"
    return [p for p in matching if dbt not in p.parents or p.relative_to(dbt).parts[0] in WRITTEN]


def names() -> dict[str, set[str]]:
    """What code must not say, by kind."""
    surveys = [f.survey for f in FOLDERS]
    common = {"County"}
    return {
        "survey": {s.survey_id for s in surveys}
        | {i for s in surveys for i in s.source.published_survey_ids},
        "region": {s.region for s in surveys}
        | {t for s in surveys for t in (s.region_label.en, s.region_label.zh)},
        "place": {w for s in surveys for w in re.findall(r"[A-Z][a-z]{3,}", s.place.en)} - common,
        "site": {site.site_id for s in surveys for site in s.sites},
        # a site has a resettlement mode as well; that is a field of the vocabulary
        "indicator": set(CATALOG.indicator) - set(Site.model_fields),
    }


@pytest.mark.parametrize("kind", names())
def test_no_code_names_one(kind: str) -> None:
    words = names()[kind]
    assert len(words) >= len({s.region for s in (f.survey for f in FOLDERS)})
    flags = re.NOFLAG if kind == "place" else re.IGNORECASE
    pattern = re.compile(
        rf"(?<![A-Za-z0-9_])({'|'.join(map(re.escape, sorted(words)))})(?![A-Za-z0-9_])", flags
    )
    files = code()
    assert len(files) > 80
    said = [
        f"{path.relative_to(ROOT)}, line {number}: {match.group()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for match in pattern.finditer(line)
    ]
    assert said == []


def test_expression_stays_an_escape_hatch(capsys: pytest.CaptureFixture[str]) -> None:
    rules = Counter(row.rule for folder in FOLDERS for row in folder.crosswalk)
    with_value = sum(n for rule, n in rules.items() if rule not in VALUELESS_RULES)
    used = rules[Rule.EXPRESSION]
    with capsys.disabled():
        print(f"\nexpression: {used} of {with_value} crosswalk rows that give a value")
    assert used <= 0.05 * with_value

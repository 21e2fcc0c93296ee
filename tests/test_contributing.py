"""The table of typical changes in CONTRIBUTING.md holds: each change in the places of its row, and everything works.

A copy of the checkout gets an indicator, a metric, a method with table and figure, a file format and a published
column. Its own tests of catalog, contract and floors pass, and a survey in the new format is published with them.
"""

import csv
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.feather as pf
import pytest

from relocation_warehouse.ground.paths import CHECKOUT

COPIED = ("analysis", "relocation_warehouse", "dagster_project", "expectations", "dbt", "docs", "tests", "benchmarks",
          "data/catalog", "data/literature", "data/schemas")  # fmt: skip
FILES = (
    "pyproject.toml",
    "requirements.lock",
    "README.md",
    "CONTRIBUTING.md",
    "Makefile",
    "CITATION.cff",
    "CHANGELOG.md",
)
SURVEY = "gz_anshun_2020"

INDICATOR = """
  - id: knows_the_clinic
    system: urban_rural
    dimension: governance
    label_en: Knows the clinic
    label_zh: 知道卫生室
    definition_en: Whether the respondent knows where the clinic of the site is.
    type: binary
    unit: share
    direction: benefit
    minimum: 0
    maximum: 1
    code_list: yes_no
    sensitive: false
"""
METRIC = """
  - {id: natural_indicators, label_en: Indicators in natural capital, label_zh: 自然资本指标数, unit: indicators,
     grain: household, table: capital.household_capitals, column: n_indicators_natural,
     filters: {scheme: equal, bounds: pooled}, direction: neutral,
     formula: count of the natural indicators that were answered, comparability: members differ by survey}
"""
METHOD = '''"""How far apart the households of a survey are.

What belongs here: the spread of one variable. What does not: tables.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Spread:
    """Households and the distance between their quartiles."""

    n: int
    between_quartiles: float


def spread(values: npt.ArrayLike) -> Spread:
    """Distance between the quartiles of values, shape (n,), in their unit."""
    known = np.asarray(values, dtype=np.float64)
    low, high = np.quantile(known, [0.25, 0.75])
    return Spread(len(known), float(high - low))
'''
RESULTS = '''"""Spread of the integration scores by survey and wave.

Belongs here: rows of the table. Does not belong here: the statistic (`analysis.spread`).
"""

from __future__ import annotations

import duckdb
import pyarrow as pa

from analysis.spread import spread
from relocation_warehouse.results.tables import conform


def spreads(con: duckdb.DuckDBPyConnection) -> dict[str, pa.Table]:
    """A row for each survey and wave."""
    keys = "survey_id, region, wave, wave_order, is_synthetic"
    groups = con.execute(
        f"SELECT {keys}, list(total) FROM integration.household_dimensions WHERE total IS NOT NULL GROUP BY ALL"
    ).fetchall()
    rows = [
        dict(zip(keys.split(", "), key, strict=True)) | {"measure": "total"} | vars(spread(values))
        for *key, values in groups
    ]
    return {"spreads": conform("analysis.spreads", rows)}
'''
TABLE = """
  - table: analysis.spreads
    description: {en: Spread of the integration scores., zh: 融入得分的离散程度}
    key: [survey_id, wave, measure]
    edition: analyst
    made_by: spreads
    report:
      section: integration
      title: {en: Spread, zh: 离散程度}
      columns: [between_quartiles, measure, region, wave, n]
      chart: dots
    columns:
      - {use: survey}
      - {name: measure, type: VARCHAR, en: Measure, zh: 指标}
      - {name: n, type: BIGINT, unit: households, en: Households, zh: 住户数, minimum: 0}
      - {name: between_quartiles, type: DOUBLE, unit: points, en: Distance of the quartiles, zh: 四分位距, minimum: 0}
"""
READER = '''"""Feather through pyarrow.

Belongs here: batches with every column as text. Does not belong here: what a cell means.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as pf

from relocation_warehouse.survey.codebook import Entry
from relocation_warehouse.survey.readers.base import Received, UnreadableFile, landing_schema, named
from relocation_warehouse.survey.vocabulary import SurveyFile


@contextmanager
def stream(path: Path, file: SurveyFile) -> Iterator[Received]:
    """Open a Feather file."""
    try:
        table = pf.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableFile(f"is no readable Feather file ({error}); write it again") from error
    schema = landing_schema(named(table.column_names), [pa.string()] * table.num_columns)
    columns = [c.cast(pa.string()).combine_chunks() for c in table.columns]
    rows = pa.array(np.arange(1, table.num_rows + 1))
    batch = pa.RecordBatch.from_arrays([*columns, rows], schema=schema)
    yield Received(schema, iter([batch]), tuple(Entry(n, "string") for n in table.column_names))
'''
COLUMN = (
    "      - {name: n_missing, type: BIGINT, unit: households, en: Households without a value, "
    "zh: 缺失住户数, minimum: 0}\n"
)

Change = Callable[[Path], None]


def add(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{path.name} has no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def raise_version(root: Path) -> None:
    path = root / "data/catalog/tables.yml"
    text = path.read_text(encoding="utf-8")
    (version,) = re.findall(r"contract_version: \d+\.(\d+)\.", text)
    edit(path, f".{version}.", f".{int(version) + 1}.")


def indicator(root: Path) -> None:
    add(root / "data/catalog/indicators.yml", INDICATOR)


def metric(root: Path) -> None:
    add(root / "data/catalog/metrics.yml", METRIC)


def method(root: Path) -> None:
    (root / "analysis/spread.py").write_text(METHOD, encoding="utf-8")
    (root / "docs/methods/spread.md").write_text("# Spread\n\nDistance of the quartiles.\n", encoding="utf-8")
    (root / "relocation_warehouse/results/spread.py").write_text(RESULTS, encoding="utf-8")
    groups = root / "relocation_warehouse/results/groups.py"
    loaded = 'sensitivity = _later("sensitivity")\n'
    edit(groups, loaded, f'{loaded}spreads = _later("spread", "spreads")\n')
    group = 'Group("spreads", lambda con, *_: spreads(con), (DIMENSIONS,), "Spread: docs/methods/spread.md.")'
    edit(groups, "GROUPS = (\n", f"GROUPS = (\n    {group},\n")
    add(root / "data/catalog/tables.yml", TABLE)
    raise_version(root)


def file_format(root: Path) -> None:
    survey = root / "relocation_warehouse/survey"
    (survey / "readers/feather.py").write_text(READER, encoding="utf-8")
    entry = '"feather": Format("feather", NoOptions, (".feather",), (None,)),'
    edit(survey / "vocabulary.py", '    "parquet": Format(', f'    {entry}\n    "parquet": Format(')
    edit(root / "docs/formats.md", "| `odk` |", "| `feather` | `.feather` | pyarrow | text |\n| `odk` |")


def column(root: Path) -> None:
    tables = root / "data/catalog/tables.yml"
    added = COLUMN.replace("n_missing", "n_households").replace("without a value", "with and without a value")
    edit(tables, COLUMN, COLUMN + added)
    raise_version(root)
    model = root / "dbt/models/harmonized/coverage.sql"
    filled = "cast(n_households - n as bigint) as n_missing"
    edit(model, filled, f"{filled},\n    cast(n_households as bigint) as n_households")
    edit(root / "data/catalog/disclosure.yml", "n_missing: count}", "n_missing: count, n_households: count}")


CHANGES: dict[str, tuple[str, Change]] = {
    "indicator": ("add an indicator", indicator),
    "metric": ("add a metric", metric),
    "method": ("add a statistical method with a table and a figure", method),
    "format": ("read another file format", file_format),
    "column": ("publish another column", column),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the changes, the tests and a refresh need."""
    root = tmp_path_factory.mktemp("copy")
    unwanted = shutil.ignore_patterns("__pycache__", "target", "logs", "screenshots", "*.duckdb")
    for name in COPIED:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, root / name, ignore=unwanted)
    shutil.copytree(
        CHECKOUT / ".dagster", root / ".dagster", ignore=shutil.ignore_patterns("storage", "history")
    )
    for name in FILES:
        shutil.copy(CHECKOUT / name, root / name)
    shutil.copytree(CHECKOUT / "data/surveys" / SURVEY, root / "data/surveys" / SURVEY)
    return root


@contextmanager
def touched(root: Path) -> Iterator[set[str]]:
    """Files that are new or changed when the block ends."""

    def contents() -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}

    before, places = contents(), set[str]()
    yield places
    places |= {path for path, content in contents().items() if before.get(path) != content}


def places_of(row: str) -> list[str]:
    """Paths that a row of the table names."""
    text = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (named,) = re.findall(rf"^\| {re.escape(row)} \| (.*) \|$", text, re.MULTILINE)
    return [path for path in re.findall(r"`([^`]+)`", named) if "/" in path]


def run(root: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(root), "WAREHOUSE_DATA": str(root / "data")}
    environment |= {"DAGSTER_HOME": str(root / ".dagster")}
    environment.pop("WAREHOUSE_REFRESHED", None)
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def changed(copy: Path) -> Path:
    """The copy with all five changes, each made in the places of its row and in no other."""
    for row, change in CHANGES.values():
        allowed = places_of(row)
        with touched(copy) as places:
            change(copy)
        assert places
        beyond = {path for path in places if not any(path.startswith(place) for place in allowed)}
        assert beyond == set(), f"{row}: {sorted(beyond)} stand in no place that CONTRIBUTING.md names"
    environment = f"{copy}:{copy / 'tests'}:{copy / 'tests/editions'}"
    subprocess.run(
        [sys.executable, "tests/editions/test_contract_version.py"],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": environment},
        check=True,
    )
    return copy


@pytest.mark.slow
def test_the_tests_of_catalog_contract_and_floors_pass_with_all_changes(changed):
    said = run(
        changed,
        *("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/surveys/test_catalog.py"),
        *("tests/test_floors.py", "tests/surveys/test_no_survey_names.py"),
        "tests/editions/test_contract_version.py::test_the_contract_is_the_one_of_its_version",
        "tests/editions/test_disclosure.py::test_every_number_of_the_public_edition_is_declared",
    )
    assert "passed" in said


@pytest.mark.slow
@pytest.mark.long
def test_a_survey_is_published_with_all_changes(changed):
    folder = changed / "data/surveys" / SURVEY
    with (folder / "answers.csv").open(encoding="gb18030", newline="") as file:
        header, *rows = csv.reader(file)
    table = pa.table(
        {name: pa.array(values) for name, values in zip(header, zip(*rows, strict=True), strict=True)}
    )
    pf.write_feather(table, folder / "answers.feather")
    survey = (folder / "survey.yml").read_text(encoding="utf-8")
    survey = re.sub(
        r"path: answers\.csv\n.*\n.*sha256.*\n.*options.*\n",
        "path: answers.feather\n    format: feather\n",
        survey,
    )
    (folder / "survey.yml").write_text(survey, encoding="utf-8")
    run(changed, "-c", "from relocation_warehouse.command.cli import main; main()", "refresh")
    published = changed / "data/published"
    with duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as con:
        answers = {
            "format": "SELECT DISTINCT format FROM quality.loads",
            "indicator": "SELECT DISTINCT evidence FROM harmonized.coverage WHERE indicator_id = 'knows_the_clinic'",
            "metric": "SELECT label_en FROM reference.metric_definitions WHERE metric_id = 'natural_indicators'",
            "method": "SELECT n > 300, between_quartiles > 0 FROM analysis.spreads",
            "column": "SELECT bool_and(n_households = n + n_missing) FROM harmonized.coverage",
        }
        shown = {change: con.execute(query).fetchall() for change, query in answers.items()}
    assert shown == {
        "format": [("feather",)],
        "indicator": [("added after this survey was mapped",)],
        "metric": [("Indicators in natural capital",)],
        "method": [(True, True)],
        "column": [(True,)],
    }
    assert "analysis-spreads" in (published / "report/index.html").read_text(encoding="utf-8")
    with duckdb.connect(str(published / "public/warehouse.duckdb"), read_only=True) as con:
        assert con.execute("SELECT count(n_households) > 0 FROM harmonized.coverage").fetchall() == [(True,)]

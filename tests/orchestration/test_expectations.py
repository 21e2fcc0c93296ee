"""Expectations on what arrives and leaves: what they say of good and bad data, and how they are kept."""

from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from expectations.arrival import arrival_suite, as_received, profile
from expectations.declared import declared_expectations
from expectations.page import write_quality_page
from expectations.runner import Expectation, ExpectationDidNotRun, Outcome, combined, fault_of, run_suite
from relocation_warehouse.contract.tables import contract_of, value_labels
from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.survey.folder import list_survey_folders, load_folder
from relocation_warehouse.survey.problems import SurveyFolderError
from relocation_warehouse.survey.vocabulary import ColumnType


@pytest.fixture(scope="module")
def numeric():
    """A folder, its first file and a number variable of it."""
    for path in list_survey_folders(CHECKOUT / "data" / "surveys"):
        folder = load_folder(path)
        file = folder.survey.files[0]
        ids = {*file.household_id}
        for column in folder.columns_of(file.file_id):
            if column.type is ColumnType.NUMBER and column.variable not in ids and column.minimum == 0:
                return folder, file, column
    raise AssertionError("no survey has a number variable")


@pytest.fixture
def landed(numeric):
    """Sixty rows as they land, every column of the file among them."""
    folder, file, column = numeric
    frame = pd.DataFrame({c.column: pd.Series(["1"] * 60) for c in folder.columns_of(file.file_id)})
    for variable in file.household_id:
        header = folder.variables[file.file_id, variable].column
        frame[header] = [str(i) for i in range(60)]
    frame[column.column] = [str(10 + i % 7) for i in range(60)]
    return frame


def arrived(folder, file, frame, as_text=()):
    """The rows as they are validated, once they have landed."""
    with TemporaryDirectory() as scratch:
        pq.write_table(pa.Table.from_pandas(frame), Path(scratch) / "landed.parquet")
        return as_received(folder, file, Path(scratch) / "landed.parquet", as_text)


def unmet(outcomes, variable):
    return {o.expectation.name for o in outcomes if not o.is_met and variable in o.expectation.columns}


def test_a_mean_that_moved_since_the_load_before_is_noticed(numeric, landed):
    folder, file, column = numeric
    first = arrived(folder, file, landed)
    before = profile(first)
    suite = arrival_suite(folder, file, before)
    assert unmet(run_suite("same", suite, first), column.variable) == set()
    shifted = landed.assign(**{column.column: [str(12 + i % 7) for i in range(60)]})
    results = run_suite("shifted", suite, arrived(folder, file, shifted))
    assert unmet(results, column.variable) == {f"{column.variable}: mean_to_be_between"}
    assert all(o.expectation.severity == "warning" for o in results if not o.is_met)


def test_answers_that_stayed_away_since_the_load_before_are_noticed(numeric, landed):
    folder, file, column = numeric
    suite = arrival_suite(folder, file, profile(arrived(folder, file, landed)))
    emptier = landed.copy()
    emptier.loc[:19, column.column] = None
    results = run_suite("emptier", suite, arrived(folder, file, emptier))
    assert f"{column.variable}: not_be_null mostly" in unmet(results, column.variable)


def test_a_value_out_of_range_is_counted(numeric, landed):
    folder, file, column = numeric
    landed.loc[3:4, column.column] = "-5"
    results = run_suite("range", arrival_suite(folder, file), arrived(folder, file, landed))
    (outcome,) = [o for o in results if o.expectation.name == f"{column.variable}: be_between"]
    assert (outcome.is_met, outcome.n_failed) == (False, 2)


def test_each_answer_is_kept_and_what_is_none_is_empty(numeric, landed):
    folder, file, column = numeric
    landed.loc[:5, column.column] = [" 7 ", "", None, "seven", "8.5", "1e3"]
    code = next(c for c in folder.columns_of(file.file_id) if c.type is ColumnType.CODE)
    landed.loc[:2, code.column] = [" a ", None, "\u3000"]
    frame = arrived(folder, file, landed)
    assert [None if v != v else v for v in frame[column.variable][:7]] == [7, None, None, None, 8.5, 1000, 16]
    assert frame[code.variable].dtype == "category"
    assert [v if isinstance(v, str) else None for v in frame[code.variable][:4]] == ["a", None, None, "1"]
    assert arrived(folder, file, landed, {code.variable})[code.variable].dtype == "object"
    stored = landed.assign(
        **{c: pd.to_numeric(landed[c], errors="coerce") for c in (column.column, code.column)}
    )
    again = arrived(folder, file, stored)
    assert again[column.variable].equals(pd.to_numeric(landed[column.column], errors="coerce"))
    assert set(again[code.variable].cat.categories) == {"1"}


def test_names_are_unique_within_a_suite(numeric, landed):
    folder, file, _ = numeric
    suite = arrival_suite(folder, file, profile(arrived(folder, file, landed)))
    names = [e.name for e in suite]
    assert len(names) == len(set(names))


def test_an_expectation_that_cannot_run_is_our_error_and_no_finding():
    impossible = Expectation(
        "expect_column_mean_to_be_between", {"column": "absent", "min_value": 0}, "error"
    )
    with pytest.raises(ExpectationDidNotRun, match="absent"):
        run_suite("broken", [impossible], pd.DataFrame({"present": [1.0]}))


def test_parts_of_a_table_add_up():
    one = Expectation("expect_column_values_to_not_be_null", {"column": "a"}, "error")
    parts = [Outcome(one, True, 0, ""), Outcome(one, False, 2, "[None]"), Outcome(one, False, 3, "[None]")]
    assert combined(parts) == Outcome(one, False, 5, "[None]")
    assert combined(parts[:1]) == Outcome(one, True, 0, "")


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        ("expect_column_mean_to_be_between", {"column": "a", "min_value": 1}, ""),
        ("expect_the_moon", {}, "knows no expectation of this type"),
        ("expect_column_mean_to_be_betwen", {}, "did you mean 'expect_column_mean_to_be_between'?"),
        ("expect_column_mean_to_be_between", {"min_value": 1}, "column"),
        ("expect_column_mean_to_be_between", {"column": "a", "smallest": 1}, "smallest"),
    ],
)
def test_what_is_wrong_with_an_expectation_itself(kind, arguments, said):
    fault = fault_of(Expectation(kind, arguments, "warning"))
    assert said in fault
    assert bool(fault) == bool(said)


def declare(warehouse, survey_id, entries):
    path = warehouse.paths.surveys / survey_id / "expectations.yml"
    with path.open("w", encoding="utf-8") as handle:
        yaml.safe_dump(entries, handle, default_flow_style=None, sort_keys=False)


def rows_between(low, high, severity):
    bounds = {"min_value": low, "max_value": high}
    return {"type": "expect_table_row_count_to_be_between", "kwargs": bounds, "severity": severity}


def test_declared_expectations_are_checked_before_they_are_used(warehouse, survey_id):
    entries = [
        {"type": "expect_the_moon"},
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "no_such_variable"}},
        {**rows_between(1, 9, "warning"), "file": "no_such_file"},
    ]
    declare(warehouse, survey_id, entries)
    with pytest.raises(SurveyFolderError) as refusal:
        declared_expectations(warehouse.folder(survey_id))
    messages = [str(p) for p in refusal.value.problems]
    assert len(messages) == 3
    text = (warehouse.paths.surveys / survey_id / "expectations.yml").read_text().splitlines()
    lines = [
        next(n for n, t in enumerate(text, 1) if m in t) for m in ("moon", "kwargs: {column", "no_such_file")
    ]
    starts = [f"expectations.yml, line {line}: entry {n}" for n, line in enumerate(lines, 1)]
    assert [m[: len(s)] for m, s in zip(messages, starts, strict=True)] == starts
    assert "knows no expectation" in messages[0]
    assert "'no_such_variable' is not a variable" in messages[1]
    assert "file 'no_such_file' is not in survey.yml" in messages[2]


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("expect_column_to_exist", {"row_condition": "RUN", "condition_parser": "pandas"}),
        ("expect_column_values_to_not_be_null", {"row_condition": 'col("x") == "RUN"'}),
        ("expect_table_row_count_to_be_between", {"min_value": 1, "meta": {"notes": "RUN"}}),
        ("unexpected_rows_expectation", {"unexpected_rows_query": "RUN"}),
    ],
)
def test_nothing_in_a_folder_is_run_as_code(warehouse, survey_id, tmp_path, kind, arguments):
    mark = tmp_path / "ran"
    code = f"index >= @pd.io.common.os.system('touch {mark}')"
    arguments = yaml.safe_load(yaml.safe_dump(arguments).replace("RUN", code.replace("'", "''")))
    column = warehouse.folder(survey_id).columns_of(warehouse.folder(survey_id).survey.files[0].file_id)
    if "column" in kind:
        arguments["column"] = next(c.variable for c in column if c.variable)
    declare(warehouse, survey_id, [{"type": kind, "kwargs": arguments, "severity": "error"}])
    with pytest.raises(SurveyFolderError, match="cannot be given here"):
        declared_expectations(warehouse.folder(survey_id))
    assert not mark.exists()


@pytest.mark.parametrize(
    "arguments", [{"regex": "^(?=(a+)+$)"}, {"regex_list": ["a", r"(a*)*\1b"]}, {"regex": "("}]
)
def test_a_pattern_that_could_take_for_ever_is_refused(warehouse, survey_id, arguments):
    column = warehouse.folder(survey_id).columns_of(warehouse.folder(survey_id).survey.files[0].file_id)
    arguments |= {"column": next(c.variable for c in column if c.variable)}
    kind = f"expect_column_values_to_match_{'regex_list' if 'regex_list' in arguments else 'regex'}"
    declare(warehouse, survey_id, [{"type": kind, "kwargs": arguments}])
    with pytest.raises(SurveyFolderError, match=r"cannot be used .*write it without looking ahead"):
        declared_expectations(warehouse.folder(survey_id))


def test_a_misspelt_field_is_refused(warehouse, survey_id):
    declare(warehouse, survey_id, [{"type": "expect_column_to_exist", "severity": "fatal"}])
    with pytest.raises(SurveyFolderError, match="'error' or 'warning'"):
        declared_expectations(warehouse.folder(survey_id))


def test_declared_expectations_warn_or_refuse_and_every_load_is_kept(warehouse, survey_id):
    from relocation_warehouse.receiving.arrival import receive

    declare(warehouse, survey_id, [rows_between(1, 9, "warning")])
    first = receive(warehouse, survey_id)
    assert first.is_accepted
    warned = [c for c in first.checks if c["status"] == "failed" and c["check"].startswith("table_row")]
    assert [c["severity"] for c in warned] == ["warning"]
    with warehouse.connect(read_only=True) as con:
        before = con.execute("select * from quality.loads where status = 'accepted'").fetchall()

    declare(warehouse, survey_id, [rows_between(1, 9, "error")])
    second = receive(warehouse, survey_id)
    assert not second.is_accepted
    assert "expectation 'table_row_count_to_be_between' is not met" in str(second.problems[0])
    with warehouse.connect(read_only=True) as con:
        loads = con.execute(
            "select is_accepted, count(*) > 30 from raw.expectation_results group by all order by min(loaded_at)"
        ).fetchall()
        after = con.execute("select received, accepted, quarantined, status from quality.loads").fetchall()
    assert loads == [(True, True), (False, True)]
    assert [(r[6], r[7], r[8], "refused") for r in before] == after, "what was accepted before stays"


def test_the_page_shows_results_and_runs_nothing(tmp_path):
    hostile = "<script>alert('x')</script>"
    database = tmp_path / "build.duckdb"
    with duckdb.connect(str(database)) as con:
        con.execute("create schema raw; create schema quality")
        con.execute(
            "create table raw.expectation_results as select ? as survey_id, timestamp '2026-01-02 03:04:05' as "
            "loaded_at, true as is_accepted, 'failed' as status, 'warning' as severity",
            [hostile],
        )
        con.execute(
            """create table quality.checks as select 'dbt' as source, ? as "table", 'is filled' as "check",
            'failed' as status, 'error' as severity, 3 as n_failed, ? as message""",
            [hostile, hostile],
        )
        con.execute(
            """insert into quality.checks values ('audit', 'raw.x', 'age: be_between', 'failed', 'warning', 1,
            '1 of 448 values')"""
        )
        con.execute("create schema reference")
        con.register("labels", value_labels(contract_of()))
        con.execute("create table reference.value_labels as from labels")
    write_quality_page(database, database, tmp_path / "report" / "quality.html")
    page = (tmp_path / "report" / "quality.html").read_text("utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3
    assert "2026-01-02 03:04:05" in page
    assert "0 of 1 met" in page
    assert '<span lang="zh">age：在范围内</span>' in page
    assert '<span lang="en">1 of 448 values</span><span lang="zh">1个值未通过，共448个值</span>' in page
    assert "default-src 'none'" in page
    assert "://" not in page


def test_what_was_observed_names_no_answer():
    frame = pd.DataFrame({"id": ["H-4711", "H-4711", "H-1"], "income": [1.0, 2.0, 77777.0]})
    suite = [
        Expectation("expect_column_values_to_be_unique", {"column": "id"}, "error"),
        Expectation("expect_column_values_to_be_in_set", {"column": "id", "value_set": ["H-1"]}, "error"),
        Expectation("expect_column_values_to_be_between", {"column": "income", "max_value": 10}, "error"),
        Expectation("expect_column_max_to_be_between", {"column": "income", "max_value": 10}, "error"),
        Expectation(
            "expect_column_distinct_values_to_be_in_set", {"column": "id", "value_set": ["H-1"]}, "error"
        ),
        Expectation("expect_column_mean_to_be_between", {"column": "income", "max_value": 10}, "error"),
    ]
    outcomes = run_suite("suite", suite, frame)
    assert not any(o.is_met for o in outcomes)
    assert not [o.observed for o in outcomes if "4711" in o.observed or "77777" in o.observed]
    assert outcomes[0].observed == "2 of 3 values"
    assert outcomes[-1].observed.startswith("25926.")

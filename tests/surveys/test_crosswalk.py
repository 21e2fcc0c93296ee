"""Every rule of the closed set, compiled and executed on small raw tables; nothing in a folder can run SQL."""

import math
from dataclasses import replace
from typing import Any

import duckdb
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from small_survey import survey_fields, write_folder
from sqlglot import exp

from relocation_warehouse.ground import sql
from relocation_warehouse.survey.catalog import Catalog, Indicator, UnitConversion
from relocation_warehouse.survey.crosswalk import check_crosswalk, compile_wave
from relocation_warehouse.survey.folder import SurveyFolder, load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.vocabulary import Code, Column, CrosswalkRow, Rule, Status, Survey

LABEL = {"en": "x", "zh": "x"}
SURVEY = survey_fields(
    "s",
    ("single",),
    ("A", "B"),
    [
        {"file_id": "hh", "path": "hh.csv", "format": "delimited", "household_id": ["hh"]},
        {
            "file_id": "people",
            "path": "p.csv",
            "format": "delimited",
            "grain": "member",
            "household_id": ["hh"],
        },
    ],
    fieldwork="2019",
)
CODES = [
    Code(list="agree", code="同意", value="4"),
    Code(list="agree", code="不同意", value="2"),
    Code(list="agree", code="拒答", missing_reason="refused"),
    Code(list="bands", code="..17", value="1"),
    Code(list="bands", code="18..59", value="2"),
    Code(list="bands", code="60..", value="3"),
    Code(list="means", code="1", value="car"),
    Code(list="means", code="2", value="cart"),
    Code(list="help", code="land", value="1"),
    Code(list="help", code="work_50%", value="1"),
]


def column(file_id: str, variable: str, kind: str, codes: str = "") -> Column:
    return Column(
        file_id=file_id,
        column=variable,
        variable=variable,
        type=kind,
        codes=tuple(codes.split()),
        minimum=0 if kind == "number" else None,
    )


COLUMNS = (
    *(column("hh", v, "number") for v in ("a", "b", "age")),
    column("hh", "opinion", "code", "agree"),
    column("hh", "vehicle", "code", "means"),
    column("hh", "helped", "multi", "help"),
    column("people", "hours", "number"),
    column("people", "view", "code", "agree"),
    column("hh", "told", "text"),
)


def indicator(name: str = "i", kind: str = "number", **other: Any) -> Indicator:
    fields: dict[str, Any] = {
        "label_en": "x",
        "label_zh": "x",
        "id": name,
        "system": "s",
        "dimension": "d",
        "definition_en": "x",
        "type": kind,
        "unit": None if kind == "category" else "mu",
        "direction": "benefit",
        "minimum": None,
        "maximum": None,
        "code_list": "means" if kind == "category" else None,
        "sensitive": False,
    }
    return Indicator(**(fields | other))


def catalog(*indicators: Indicator) -> Catalog:
    units = (
        {"from": "m2", "to": "mu", "factor": 0.0015, "note": "x", "note_zh": "编造"},
        {"from": "old", "to": "mu", "factor": 2, "note": "any year", "note_zh": "编造"},
        {"from": "old", "to": "mu", "factor": 3, "note": "that year", "note_zh": "编造", "year": 2019},
    )
    known: dict[str, Any] = {
        "indicators": indicators or (indicator(),),
        "units": tuple(UnitConversion.model_validate(u) for u in units),
        "code_lists": {"means": ()},
    }
    return Catalog.model_construct(**known)


def folder(rule: str, sources: str = "", survey: dict[str, Any] | None = None, **row: Any) -> SurveyFolder:
    valueless = rule in ("not_asked", "undetermined")
    crosswalk = CrosswalkRow(
        wave="*",
        indicator_id="i",
        rule=rule,
        sources=tuple(sources.split()),
        status=rule if valueless else "compatible",
        evidence="made up",
        **row,
    )
    return SurveyFolder(
        path=None,  # type: ignore[arg-type]
        survey=Survey.model_validate(SURVEY | (survey or {})),
        columns=COLUMNS,
        codes=tuple(CODES),
        crosswalk=(crosswalk,),
        corrections=(),
        lines={"crosswalk.csv": (2,)},
    )


def run(
    made: SurveyFolder, household: dict[str, Any], roster: list[dict[str, Any]] | None = None, *i: Indicator
) -> tuple[Any, str | None]:
    """Value and missing reason of one household; a value given as a missing reason is written `!reason`."""
    con = duckdb.connect()
    con.execute("CREATE SCHEMA raw")
    for file_id, rows in (("hh", [household]), ("people", roster or [])):
        used = [c for c in COLUMNS if c.file_id == file_id]
        names = ", ".join(
            f"{sql.identifier(c.variable or '')} {'DOUBLE' if c.type == 'number' else 'VARCHAR'}, "
            f"{sql.identifier(f'{c.variable}__missing')} VARCHAR"
            for c in used
        )
        keys = "_row BIGINT, _household_id VARCHAR, _wave VARCHAR, _site_id VARCHAR, _weight DOUBLE"
        con.execute(f"CREATE TABLE raw.s__{file_id} ({keys}, {names})")
        for number, row in enumerate(rows, start=1):
            cells: list[Any] = [number, "H1", None, "A", None]
            for c in used:
                value = row.get(c.variable)
                missing = isinstance(value, str) and value.startswith("!")
                cells += [None, value[1:]] if missing else [value, None if value is not None else "blank"]
            con.execute(f"INSERT INTO raw.s__{file_id} VALUES ({', '.join('?' * len(cells))})", cells)
    (only,) = con.execute(
        f"SELECT i, i__missing FROM ({compile_wave(made, 'single', catalog(*i))})"
    ).fetchall()
    return only


@pytest.mark.parametrize(
    ("rule", "sources", "extra", "household", "expected"),
    [
        ("direct", "a", {}, {"a": 3.5}, (3.5, None)),
        ("direct", "a", {}, {"a": "!refused"}, (None, "refused")),
        ("direct", "a", {}, {}, (None, "blank")),
        ("direct", "opinion", {}, {"opinion": "同意"}, (4.0, None)),
        ("direct", "opinion", {}, {"opinion": "!refused"}, (None, "refused")),
        ("recode", "age", {"codes": "bands"}, {"age": 17.0}, (1.0, None)),
        ("recode", "age", {"codes": "bands"}, {"age": 18.0}, (2.0, None)),
        ("recode", "age", {"codes": "bands"}, {"age": 60.0}, (3.0, None)),
        ("recode", "age", {"codes": "bands"}, {"age": 17.5}, (None, "out_of_range")),
        ("recode", "age", {"codes": "bands"}, {"age": "!dont_know"}, (None, "dont_know")),
        ("recode", "told", {"codes": "bands"}, {"told": "17"}, (1.0, None)),
        ("recode", "told", {"codes": "bands"}, {"told": "60"}, (3.0, None)),
        ("recode", "told", {"codes": "bands"}, {"told": "seventeen"}, (None, "out_of_range")),
        ("recode", "told", {"codes": "bands"}, {"told": "nan"}, (None, "out_of_range")),
        ("recode", "told", {"codes": "bands"}, {"told": "-inf"}, (None, "out_of_range")),
        ("scale", "a", {"parameters": "slope=-1 intercept=6"}, {"a": 2.0}, (4.0, None)),
        ("scale", "a", {"parameters": "slope=-1 intercept=6"}, {"a": "!blank"}, (None, "blank")),
        ("scale", "a", {"unit": "m2"}, {"a": 2000.0}, (3.0, None)),
        ("scale", "a", {"unit": "old"}, {"a": 2.0}, (6.0, None)),
        ("direct", "a", {"unit": "m2"}, {"a": 1000.0}, (1.5, None)),
        ("sum_complete", "a b", {}, {"a": 1.0, "b": 2.0}, (3.0, None)),
        ("sum_complete", "a b", {}, {"a": 1.0, "b": "!refused"}, (None, "refused")),
        ("sum_complete", "a b", {"unit": "m2"}, {"a": 1000.0, "b": 1000.0}, (3.0, None)),
        ("sum_available", "a b", {}, {"a": 1.0}, (1.0, None)),
        ("sum_available", "a b", {}, {"a": "!refused"}, (None, "refused")),
        ("mean", "a b", {}, {"a": 1.0, "b": 2.0}, (1.5, None)),
        ("mean", "a b", {}, {"b": 2.0}, (2.0, None)),
        ("mean", "a b", {}, {}, (None, "blank")),
        ("max", "a b", {}, {"a": 1.0, "b": 2.0}, (2.0, None)),
        ("max", "a", {}, {"a": 1.0}, (1.0, None)),
        ("first", "a b", {}, {"a": 1.0, "b": 2.0}, (1.0, None)),
        ("first", "a b", {}, {"b": 2.0}, (2.0, None)),
        ("last", "a b", {}, {"a": 1.0, "b": 2.0}, (2.0, None)),
        ("last", "a b", {}, {"a": "!refused"}, (None, "refused")),
        ("any", "a b", {}, {"a": 0.0, "b": 2.0}, (1.0, None)),
        ("any", "a b", {}, {"a": 0.0}, (0.0, None)),
        ("any", "a b", {}, {}, (None, "blank")),
        ("count", "a b", {}, {"b": 0.0}, (1.0, None)),
        ("count", "a b", {}, {}, (0.0, None)),
        ("selected", "helped", {"parameters": "land"}, {"helped": "work_50% land"}, (1.0, None)),
        ("selected", "helped", {"parameters": "land"}, {"helped": "landless"}, (0.0, None)),
        ("selected", "helped", {"parameters": "work_50%"}, {"helped": "workX50Y"}, (0.0, None)),
        ("selected", "helped", {"parameters": "work_50%"}, {"helped": "land work_50%"}, (1.0, None)),
        (
            "selected",
            "helped",
            {"parameters": "land"},
            {"helped": "!not_applicable"},
            (None, "not_applicable"),
        ),
        ("constant", "", {"parameters": "2"}, {}, (2.0, None)),
        ("expression", "a b", {"parameters": "a / nullif(b, 0)"}, {"a": 6.0, "b": 4.0}, (1.5, None)),
        (
            "expression",
            "a b",
            {"parameters": "a / nullif(b, 0)"},
            {"a": 6.0, "b": "!refused"},
            (None, "refused"),
        ),
        ("not_asked", "", {}, {"a": 1.0}, (None, "not_asked")),
        ("asked_not_shared", "", {}, {"a": 1.0}, (None, "not_shared")),
        ("undetermined", "", {}, {"a": 1.0}, (None, "not_asked")),
    ],
)
def test_a_rule_gives_the_value_or_says_why_there_is_none(
    rule: str, sources: str, extra: dict[str, Any], household: dict[str, Any], expected: tuple[Any, Any]
) -> None:
    value, reason = run(folder(rule, sources, **extra), household)
    assert (value, reason) == (pytest.approx(expected[0]) if expected[0] is not None else None, expected[1])


def test_every_rule_of_the_closed_set_is_tried() -> None:
    marks = test_a_rule_gives_the_value_or_says_why_there_is_none.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == {r.value for r in Rule}


def test_a_category_is_its_canonical_code() -> None:
    made = folder("direct", "vehicle")
    assert run(made, {"vehicle": "2"}, None, indicator(kind="category")) == ("cart", None)


ROSTER = [
    {"hours": 8.0, "view": "同意"},
    {"hours": 4.0, "view": "不同意"},
    {"hours": "!refused", "view": "!refused"},
]


@pytest.mark.parametrize(
    ("rule", "source", "roster", "expected"),
    [
        ("sum_available", "people.hours", ROSTER, (12.0, None)),
        ("sum_complete", "people.hours", ROSTER, (None, "blank")),
        ("sum_complete", "people.hours", ROSTER[:2], (12.0, None)),
        ("mean", "people.hours", ROSTER, (6.0, None)),
        ("mean", "people.view", ROSTER, (3.0, None)),
        ("max", "people.hours", ROSTER, (8.0, None)),
        ("any", "people.hours", ROSTER, (1.0, None)),
        ("any", "people.hours", [{"hours": 0.0}], (0.0, None)),
        ("any", "people.hours", [{"hours": None}], (None, "blank")),
        ("count", "people.hours", ROSTER, (3.0, None)),
        ("count", "people.hours", [], (None, "blank")),
        ("sum_available", "people.hours", [], (None, "blank")),
    ],
)
def test_a_roster_comes_to_one_value_a_household(
    rule: str, source: str, roster: list[dict[str, Any]], expected: tuple[Any, Any]
) -> None:
    assert run(folder(rule, source), {"a": 1.0}, roster) == expected


numbers = st.one_of(st.none(), st.integers(min_value=0, max_value=1000).map(float))


PEOPLE = [
    {"hours": 8.0, "view": "同意"},
    {"hours": 2.0, "view": "不同意"},
    {"hours": "!refused", "view": "同意"},
    {"hours": 5.0, "view": "!refused"},
]


@pytest.mark.parametrize(
    ("rule", "extra", "roster", "expected"),
    [
        ("sum_available", {"where": "view = 4"}, PEOPLE, (8.0, None)),
        ("sum_complete", {"where": "view = 4"}, PEOPLE, (None, "blank")),
        ("sum_complete", {"where": "view = 2 or hours >= 8"}, PEOPLE, (10.0, None)),
        ("mean", {"where": "people.hours < 8"}, PEOPLE, (3.5, None)),
        ("max", {"where": "hours between 1 and 6"}, PEOPLE, (5.0, None)),
        ("any", {"where": "view in (2, 4)"}, PEOPLE, (1.0, None)),
        ("count", {"where": "view = 4"}, PEOPLE, (2.0, None)),
        ("count", {"where": "hours > 100"}, PEOPLE, (0.0, None)),
        ("sum_available", {"where": "hours > 100"}, PEOPLE, (None, "not_applicable")),
        ("sum_available", {"where": "hours > 100"}, [], (None, "blank")),
        ("count", {"where": "view = 4"}, [], (None, "blank")),
        ("first", {}, PEOPLE, (8.0, None)),
        ("last", {}, PEOPLE, (5.0, None)),
        ("last", {"where": "view = 4"}, PEOPLE, (None, "blank")),
        ("first", {"where": "view = 2"}, PEOPLE, (2.0, None)),
        ("first", {"parameters": "order=view"}, PEOPLE, (2.0, None)),
        ("last", {"parameters": "order=view"}, PEOPLE, (None, "blank")),
        # who has no place in the order is not the last
        ("last", {"parameters": "order=view"}, PEOPLE[:2] + PEOPLE[3:], (8.0, None)),
        ("first", {"where": "hours > 100"}, PEOPLE, (None, "not_applicable")),
        ("first", {}, [], (None, "blank")),
    ],
)
def test_a_roster_may_be_filtered_and_ordered(
    rule: str, extra: dict[str, str], roster: list[dict[str, Any]], expected: tuple[Any, Any]
) -> None:
    made = folder(rule, "people.hours", **extra)
    assert check_crosswalk(made, catalog()) == ()
    assert run(made, {"a": 1.0}, roster) == expected
    # the same statement for the other engine
    spark = compile_wave(made, "single", catalog(), "spark")
    assert sqlglot.parse_one(spark, dialect="spark").sql(dialect="spark", pretty=True) == spark


@pytest.mark.parametrize(
    ("rule", "source", "extra", "message"),
    [
        (
            "mean",
            "people.hours",
            {"where": "houres > 2"},
            "'houres', no variable of roster people; did you mean",
        ),
        ("mean", "people.hours", {"where": "(select 1)"}, "which is not allowed"),
        ("mean", "people.hours", {"where": "hours >"}, "is not one SQL scalar expression"),
        ("mean", "a", {"where": "hours > 2"}, "where is for the rows of a roster"),
        ("first", "people.hours", {"parameters": "view"}, "takes order=<variable>, not 'view'"),
        ("first", "people.hours", {"parameters": "order=line"}, "'line', no variable of roster people"),
    ],
)
def test_a_filter_that_cannot_be_is_refused(
    rule: str, source: str, extra: dict[str, str], message: str
) -> None:
    (problem,) = check_crosswalk(folder(rule, source, **extra), catalog())
    assert message in problem.message


@pytest.mark.parametrize(
    ("rule", "source", "extra", "limits", "refused"),
    [
        # column a is declared from 0, column c up to 10 (below)
        ("direct", "a", {}, {"minimum": 0}, ""),
        ("direct", "a", {}, {"minimum": -1}, ""),
        ("direct", "a", {}, {"minimum": 1}, "'a' needs minimum >= 1"),
        ("direct", "a", {}, {"maximum": 9}, "'a' needs maximum <= 9"),
        ("direct", "c", {}, {"maximum": 10}, ""),
        ("direct", "c", {}, {"maximum": 11}, ""),
        ("direct", "c", {}, {"maximum": 9}, "'c' needs maximum <= 9"),
        ("direct", "c", {}, {"minimum": 0}, "'c' needs minimum >= 0"),
        # in another unit, the values are judged when they have arrived
        ("direct", "a", {"unit": "m2"}, {"minimum": 1}, ""),
        ("direct", "opinion", {}, {"minimum": 2, "maximum": 4}, ""),
        ("direct", "opinion", {}, {"minimum": 3}, "code '不同意' gives 2, outside"),
        ("direct", "opinion", {}, {"maximum": 3}, "code '同意' gives 4, outside"),
        ("recode", "age", {"codes": "bands"}, {"minimum": 1, "maximum": 3}, ""),
        ("recode", "age", {"codes": "bands"}, {"maximum": 2}, "code '60..' gives 3, outside"),
        ("recode", "vehicle", {"codes": "means"}, {}, "code '1' gives 'car', which is not a number"),
        (
            "recode",
            "opinion",
            {"codes": "means"},
            {},
            "answers ['同意', '不同意'] of 'opinion' are not in list",
        ),
    ],
)
def test_what_a_row_could_give_is_held_against_the_catalog(
    rule: str, source: str, extra: dict[str, str], limits: dict[str, float], refused: str
) -> None:
    up_to_ten = column("hh", "c", "number").model_copy(update={"minimum": None, "maximum": 10})
    made = replace(folder(rule, source, **extra), columns=(*COLUMNS, up_to_ten))
    problems = check_crosswalk(made, catalog(indicator(**limits)))
    assert all(p.line == 2 for p in problems)
    assert any(refused in p.message for p in problems) if refused else problems == ()


def test_an_identical_question_was_asked_in_the_unit_of_the_catalog() -> None:
    made = folder("direct", "a", unit="m2")
    made = replace(made, crosswalk=(made.crosswalk[0].model_copy(update={"status": Status.IDENTICAL}),))
    (problem,) = check_crosswalk(made, catalog())
    assert "asked in 'm2', so the status is compatible, not identical" in problem.message


@pytest.mark.parametrize(
    ("text", "a", "value"),
    [
        ("exp(a)", 1.0, math.e),
        ("exp(a)", 0.0, 1.0),
        ("exp(a)", 1000.0, None),
        ("power(a, 2)", 3.0, 9.0),
        ("power(a, 0.5)", 2.0, 2**0.5),
        ("power(a, -1)", 0.0, None),
        ("power(a, 2)", 0.0, 0.0),
        ("power(-a, 3)", 2.0, -8.0),
        ("power(-a, 0.5)", 2.0, None),
        ("power(a, 400)", 10.0, None),
        ("ln(a)", 0.0, None),
        ("ln(a)", math.e, 1.0),
        ("sqrt(-a)", 4.0, None),
        ("exp(ln(a) / 2)", 9.0, 3.0),
        ("floor(a)", 2.7, 2.0),
    ],
)
def test_functions_give_a_number_or_nothing(text: str, a: float, value: float | None) -> None:
    actual, reason = run(folder("expression", "a", parameters=text), {"a": a})
    assert actual == (pytest.approx(value, rel=1e-14) if value is not None else None)
    assert reason == (None if value is not None else "blank")


def test_a_row_for_all_waves_may_name_the_wave() -> None:
    waves = [{"wave": w, "order": k, "label": {"en": w}} for k, w in enumerate("ab")]
    made = folder("direct", "{wave}", {"waves": waves})
    assert [made.rows_of(w)["i"].sources for w in "ab"] == [("a",), ("b",)]
    assert [made.resolve("{wave}", w) for w in "ab"] == [("hh", "a"), ("hh", "b")]
    made = folder("expression", "{wave}", {"waves": waves}, parameters="{wave} * 2")
    assert check_crosswalk(made, catalog()) == ()
    for wave in "ab":
        assert f'"hh"."{wave}"' in compile_wave(made, wave, catalog())


def test_a_survey_may_have_units_of_its_own_by_wave() -> None:
    waves = [
        {"wave": w, "order": k, "label": {"en": w}, "fieldwork": year}
        for k, (w, year) in enumerate((("a", "1991"), ("b", "2019")))
    ]
    units = [
        {"from": "bigha", "to": "mu", "factor": 2.0, "wave": "a", "note": "made up"},
        {"from": "bigha", "to": "mu", "factor": 2.5, "note": "made up"},
        {"from": "old", "to": "mu", "factor": 7.0, "wave": "b", "note": "made up"},
    ]
    survey = {"waves": waves, "units": units}

    def factor(unit: str, wave: str) -> float:
        query = compile_wave(folder("direct", "a", survey, unit=unit), wave, catalog())
        (number,) = {
            float(m.this) for m in sqlglot.parse_one(query).find_all(exp.Literal) if "." in str(m.this)
        }
        return number

    assert factor("bigha", "a") == 2.0
    assert factor("bigha", "b") == 2.5
    # the catalog has a factor of any year and one of 2019; the survey's own goes first
    assert factor("old", "a") == 2.0
    assert factor("old", "b") == 7.0
    (problem,) = check_crosswalk(folder("direct", "a", survey, unit="acre"), catalog())[:1]
    assert "add it there, or under units in survey.yml" in problem.message


def test_a_count_over_a_roster_is_zero_without_rows_only_where_that_is_declared() -> None:
    declared = folder("count", "people.hours", parameters="absent=0")
    assert run(declared, {"a": 1.0}, []) == (0.0, None)
    assert run(declared, {"a": 1.0}, ROSTER) == (3.0, None)
    (problem,) = check_crosswalk(folder("count", "people.hours", parameters="absent=1"), catalog())
    assert "takes absent=0, not 'absent=1'" in problem.message


@settings(max_examples=15, deadline=None)
@given(a=numbers, b=numbers)
def test_the_rules_over_columns_agree_with_plain_python(a: float | None, b: float | None) -> None:
    given_ = [v for v in (a, b) if v is not None]
    expected = {
        "sum_complete": sum(given_) if len(given_) == 2 else None,
        "sum_available": sum(given_) if given_ else None,
        "mean": math.fsum(given_) / len(given_) if given_ else None,
        "max": max(given_, default=None),
        "any": float(any(v > 0 for v in given_)) if given_ else None,
        "count": float(len(given_)),
    }
    for rule, wanted in expected.items():
        value, reason = run(folder(rule, "a b"), {"a": a, "b": b})
        assert value == (None if wanted is None else pytest.approx(wanted)), rule
        assert reason == (None if wanted is not None else "blank"), rule


def test_a_questionnaire_stands_for_its_share_of_the_site() -> None:
    sites = [
        {"site_id": "A", "label": LABEL, "households": 30},
        {"site_id": "B", "label": LABEL, "households": 5},
    ]
    made = folder("direct", "a", {"sites": sites})
    con = duckdb.connect()
    con.execute("CREATE SCHEMA raw")
    con.execute(
        "CREATE TABLE raw.s__hh AS SELECT * FROM "
        "(VALUES (1, 'H1', 'A', 1.0), (2, 'H2', 'A', 2.0), (3, 'H3', 'B', 3.0)) "
        "t(_row, _household_id, _site_id, a), (VALUES (NULL::VARCHAR)) u(a__missing)"
    )
    rows = con.execute(
        f"SELECT household_id, weight FROM ({compile_wave(made, 'single', catalog())}) ORDER BY 1"
    )
    assert rows.fetchall() == [("H1", 15.0), ("H2", 15.0), ("H3", 5.0)]


@pytest.mark.parametrize(
    "expression",
    [
        "a; DROP TABLE raw.s__hh",
        "(SELECT max(a) FROM raw.s__hh)",
        "read_csv('/etc/passwd')",
        "a + c",
        "getenv('HOME')",
        "a COLLATE nocase",
        "a::VARCHAR",
        "sum(a)",
        "a FROM raw.s__hh",
        "a -- comment\n; DELETE FROM raw.s__hh",
        "'",
        "hh.a",
        "a OVER ()",
        "$1",
        "'nan'",
        "a + '-Infinity'",
        "1e400",
        "a * 1e999",
        "a in ()",
        "case when a in () then 1 else 2 end",
        "(" * 500 + "a" + ")" * 500,
        "+".join(["a"] * 5000),
        "-" * 400 + "a",
        "case when a > 1 then " * 200 + "1" + " end" * 200,
    ],
)
def test_an_expression_that_is_no_plain_arithmetic_is_refused(expression: str) -> None:
    problems = check_crosswalk(folder("expression", "a", parameters=expression), catalog())
    assert [p.line for p in problems] == [2]
    assert "expression" in problems[0].message


def test_a_unit_without_a_conversion_is_refused() -> None:
    (problem,) = check_crosswalk(folder("direct", "a", unit="acre"), catalog())
    assert "no conversion from 'acre' to 'mu'" in problem.message


def test_parameters_of_scale_are_numbers() -> None:
    (problem,) = check_crosswalk(folder("scale", "a", parameters="slope=1;DROP"), catalog())
    assert "scale takes numbers" in problem.message


PARTS = [*"ab'\";-/*()%_\\ ,:$?{}", "--", "';DROP TABLE x;--", '"', "同"]
hostile = st.lists(st.sampled_from(PARTS), min_size=1).map("".join).map(str.strip).filter(bool)


@settings(max_examples=40, deadline=None)
@given(code=hostile, value=hostile, header=hostile)
def test_no_code_value_or_parameter_can_run_sql(code: str, value: str, header: str) -> None:
    made = folder("direct", "vehicle")
    hostile_codes = (Code.model_construct(list="means", code=code, value=value, missing_reason=None),)
    bad = Column.model_construct(**(COLUMNS[4].model_dump() | {"column": header}))
    made = SurveyFolder(
        path=made.path,
        survey=made.survey,
        columns=(bad,),
        codes=hostile_codes,
        crosswalk=made.crosswalk,
        corrections=(),
    )
    compiled = compile_wave(made, "single", catalog(indicator(kind="category")))
    (statement,) = sqlglot.parse(compiled, dialect="duckdb")
    assert isinstance(statement, exp.Select)
    assert {t.name for t in statement.find_all(exp.Table)} == {"s__hh"}
    assert run_codes(compiled, code) == [(value,)]
    selected = compile_wave(folder("selected", "helped", parameters=code), "single", catalog())
    assert len(sqlglot.parse(selected, dialect="duckdb")) == 1


def run_codes(compiled: str, code: str) -> list[tuple[Any, ...]]:
    con = duckdb.connect()
    con.execute("CREATE SCHEMA raw")
    con.execute(
        "CREATE TABLE raw.s__hh AS SELECT 1 AS _row, 'H1' AS _household_id, 'A' AS _site_id, "
        "$1::VARCHAR AS vehicle, NULL::VARCHAR AS vehicle__missing",
        [code],
    )
    return con.execute(f"SELECT i FROM ({compiled})").fetchall()


def test_a_round_column_a_second_part_a_roster_and_an_id_of_two_parts(tmp_path: Any) -> None:
    """The whole way: three files read, rows split by round, the others joined by the id of two parts."""
    columns = (
        ("visits", "村", "village", "text", "", "", "", "false", ""),
        ("visits", "户", "hhid", "text", "", "", "", "false", ""),
        ("visits", "轮次", "round", "code", "", "", "round", "false", ""),
        ("visits", "安置点", "site", "code", "", "", "site", "false", ""),
        ("visits", "收入", "income", "number", "0", "", "", "false", ""),
        ("more", "村", "village", "text", "", "", "", "false", ""),
        ("more", "户", "hhid", "text", "", "", "", "false", ""),
        ("more", "轮次", "round", "code", "", "", "round", "false", ""),
        ("more", "欠款", "debt", "number", "0", "", "", "false", ""),
        ("people", "村", "village", "text", "", "", "", "false", ""),
        ("people", "户", "hhid", "text", "", "", "", "false", ""),
        ("people", "轮次", "round", "code", "", "", "round", "false", ""),
        ("people", "工时", "hours", "number", "0", "", "", "false", ""),
    )
    path = tmp_path / "two_parts"
    path.mkdir()
    (path / "visits.csv").write_text(
        "村,户,轮次,安置点,收入\nV1,1,前,甲,100\nV1,1,后,甲,150\nV2,1,前,乙,70\n", encoding="utf-8"
    )
    # a second part of the questionnaire, in another order, which one household did not fill in
    (path / "more.csv").write_text("村,户,轮次,欠款\nV1,1,后,30\nV1,1,前,20\n", encoding="utf-8")
    (path / "people.csv").write_text(
        "村,户,轮次,工时\nV1,1,前,8\nV1,1,前,4\nV1,1,后,6\nV2,1,前,2\n", encoding="utf-8"
    )
    shared = {
        "format": "delimited",
        "household_id": ["village", "hhid"],
        "wave": {"column": "round", "codes": "round"},
    }
    files = [
        {"file_id": "visits", "path": "visits.csv", **shared},
        {"file_id": "more", "path": "more.csv", **shared},
        {"file_id": "people", "path": "people.csv", "grain": "member", **shared},
    ]
    write_folder(path, files=files, columns=columns)
    (path / "crosswalk.csv").write_text(
        "wave,indicator_id,rule,sources,status,evidence\n"
        "*,income,direct,income,identical,q\n"
        "*,debt,direct,more.debt,identical,q\n"
        "*,hours,sum_complete,people.hours,identical,q\n",
        encoding="utf-8",
    )
    loaded = load_folder(path, ["income", "debt", "hours"])
    con = duckdb.connect()
    assert ingest(loaded, tmp_path / "landing", con).is_accepted
    all_three = catalog(*map(indicator, ("income", "debt", "hours")))
    by_key = {
        wave: con.execute(
            "SELECT household_id, site_id, income, debt, hours "
            f"FROM ({compile_wave(loaded, wave, all_three)}) ORDER BY 1"
        ).fetchall()
        for wave in ("before", "after")
    }
    assert by_key == {
        "before": [("V1-1", "SITE_A", 100.0, 20.0, 12.0), ("V2-1", "SITE_B", 70.0, None, 2.0)],
        "after": [("V1-1", "SITE_A", 150.0, 30.0, 6.0)],
    }

"""Numbers and days as people write them: read as the column declares, else set aside with a proposal."""

import csv
import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from small_survey import COLUMNS, HEADER, ROWS, csv_text, write_folder

from relocation_warehouse.survey.conventions import dates_sql, judged, number_sql
from relocation_warehouse.survey.folder import load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.problems import SurveyFolderError
from relocation_warehouse.survey.vocabulary import Convention


def read(how: dict[str, Any], *texts: str, **options: bool) -> list[float | None]:
    query = number_sql("t", Convention.model_validate(how), **options)
    with duckdb.connect() as con:
        rows = con.execute(
            f"SELECT {query} FROM (SELECT unnest(range(len($1))) AS k, unnest($1) AS t) ORDER BY k",
            [list(texts)],
        )
        return [value for (value,) in rows.fetchall()]


FARM = {
    "prefixes": ["约", "大约"],
    "suffixes": {"亩": 1, "公顷": 15, "元": 1, "岁": 1},
    "numerals": ["zh", "fullwidth"],
}


@pytest.mark.parametrize(
    ("how", "text", "number"),
    [
        ({"thousands": ","}, "12,000", 12000),
        ({"thousands": ","}, "12000", 12000),
        ({"thousands": ","}, "-1,234,567.5", -1234567.5),
        ({"thousands": ","}, "12,00", None),
        ({"thousands": ","}, "1,2345", None),
        ({"decimal": ",", "thousands": "."}, "1.234,50", 1234.5),
        ({"decimal": ",", "thousands": "."}, "2.000", 2000),
        ({"decimal": ",", "thousands": "."}, "1.5", None),
        ({"decimal": ","}, "0,3", 0.3),
        ({"thousands": " "}, "1 200", 1200),
        ({"thousands": " "}, "1\u202f200\u00a0000", 1200000),
        ({"thousands": "'"}, "1’200.5", 1200.5),
        ({"thousands": ",", "grouping": "indian"}, "12,34,567", 1234567),
        ({"thousands": ",", "grouping": "indian"}, "1,234,567", None),
        ({"thousands": ",", "numerals": "fullwidth"}, "1，200", 1200),
        ({"numerals": "fullwidth"}, "１２．５", 12.5),
        ({"numerals": "fullwidth"}, "－３", -3),
        ({"numerals": "bengali"}, "১২", 12),
        ({"suffixes": {"岁": 1}}, "38岁", 38),
        ({"suffixes": {"岁": 1}}, "38 岁", 38),
        ({"suffixes": {"岁": 1}}, "38年", None),
        ({"suffixes": {"亩": 1}, "bare": False}, "3", None),
        ({"suffixes": {"%": 0.01}}, "7%", 0.07),
        ({"suffixes": {"k": 1000}}, "1.1k", 1100),
        (FARM, "3亩", 3),
        (FARM, "0.3公顷", 4.5),
        (FARM, "约500元", 500),
        (FARM, "大约 500元", 500),
        (FARM, "1.2万", 12000),
        (FARM, "1.13万元", 11300),
        (FARM, "四", 4),
        (FARM, "十", 10),
        (FARM, "十二亩", 12),
        (FARM, "二十", 20),
        (FARM, "两百零五", 205),
        (FARM, "三千五", 3500),
        (FARM, "一万二", 12000),
        (FARM, "一万零二", 10002),
        (FARM, "三亿零五十万", 300500000),
        (FARM, "二〇一九", 2019),
        (FARM, "一点五", 1.5),
        (FARM, "十二点五", 12.5),
        (FARM, "三点二万", 32000),
        (FARM, "两亩半", 2.5),
        (FARM, "3亩半", 3.5),
        (FARM, "半", 0.5),
        (FARM, "零", 0),
        (FARM, "貳拾萬", 200000),
        (FARM, "十百", None),
        (FARM, "万", None),
        (FARM, "五十几", None),
        (FARM, "3亩5亩", None),
        (FARM, "约", None),
    ],
)
def test_a_number_is_read_as_its_column_declares_and_not_otherwise(
    how: dict[str, Any], text: str, number: float | None
) -> None:
    assert read(how, text) == [number]


ZH = "零一二三四五六七八九"


def spelt(n: int) -> str:
    """A whole number below 100 million in Chinese, written here in another way than it is read."""

    def four(k: int) -> str:
        out, zero = "", False
        for place, unit in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
            digit = k // place % 10
            if digit:
                out += ("零" if zero and out else "") + ZH[digit] + unit
                zero = False
            else:
                zero = True
        return out

    high, low = divmod(n, 10000)
    between = "零" if high and low and low < 1000 else ""
    return (four(high) + "万" if high else "") + between + four(low) or "零"


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 99_999_999), min_size=40, max_size=40))
def test_numbers_in_chinese_words_come_back(numbers: list[int]) -> None:
    assert read({"numerals": "zh"}, *map(spelt, numbers)) == [float(n) for n in numbers]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.decimals(-(10**9), 10**9, places=3, allow_nan=False), min_size=20, max_size=20),
    st.sampled_from([(",", "."), (".", ","), (",", " "), (".", " "), (".", "'")]),
)
def test_numbers_with_groups_come_back_to_the_last_bit(numbers: list[Any], signs: tuple[str, str]) -> None:
    decimal, thousands = signs
    swap = str.maketrans({",": thousands, ".": decimal})
    texts = [f"{n:,.3f}".translate(swap) for n in numbers]
    assert read({"decimal": decimal, "thousands": thousands}, *texts) == [float(n) for n in numbers]


@pytest.mark.parametrize(
    ("cells", "proposal"),
    [
        (["1.234,50", "3"], '{decimal: ",", thousands: "."}'),
        (["1,5", "2,25"], '{decimal: ","}'),
        (["12,000", "1,500"], '{thousands: ","}'),
        (["12,34,567"], '{thousands: ",", grouping: indian}'),
        (["1，200"], '{thousands: ",", numerals: fullwidth}'),
        (["１２"], "{numerals: fullwidth}"),
        (["1 200"], '{thousands: " "}'),
        (["3亩", "4亩"], "{suffixes: {亩: 1}}"),
        (["2亩", "0.3公顷"], "{suffixes: {亩: FILL_IN, 公顷: FILL_IN}}"),
        (["约500元"], "{prefixes: [约], suffixes: {元: 1}}"),
        (["1.2万元", "500元"], "{suffixes: {万: 10000, 元: 1}}"),
        (["四", "十二"], "{numerals: zh}"),
        (["三亩"], "{suffixes: {亩: 1}, numerals: zh}"),
        (["无", "12,000"], '{thousands: ","}'),
        (["无"], ""),
        (["12.5", "-3e4"], ""),
        (["1,5", "12,000,000"], ""),
    ],
)
def test_a_column_is_judged_as_a_whole_and_a_convention_proposed(cells: list[str], proposal: str) -> None:
    result = judged(cells)
    assert result.proposal == proposal
    if proposal and "FILL_IN" not in proposal:
        how = YAML(typ="safe", pure=True).load(proposal)
        readable = [c for c in cells if c != "无"]
        assert None not in read(how, *readable)


def load(path: Path, cells: list[str], how: dict[str, Any] | None = None, kind: str = "number") -> Any:
    """Ingest a survey whose column of incomes holds the cells; values, and (value, rule, message) set aside."""
    columns = tuple(
        (*c[:3], kind, "", "", "", "false", "") if c[2] == "income" else c for c in COLUMNS
    )  # fmt: skip
    write_folder(path, columns=columns)
    if how is not None:
        declare(path, how)
    rows = [[f"H{i}", *ROWS[0][1:3], cell, *ROWS[0][4:]] for i, cell in enumerate(cells)]
    (path / "households.csv").write_text(csv_text(rows, delimiter=";"), encoding="utf-8")
    with duckdb.connect() as con:
        assert ingest(load_folder(path), path.parent / "landing", con).is_accepted
        values = con.execute('SELECT income FROM raw."s__households" ORDER BY _row').fetchall()
        aside = con.execute(
            'SELECT value, rule, message_en FROM quality.quarantine ORDER BY "row"'
        ).fetchall()
    return [value for (value,) in values], aside


def declare(path: Path, how: dict[str, Any]) -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.dump(yaml.load(path / "survey.yml") | {"conventions": {"as_here": how}}, path / "survey.yml")
    with (path / "columns.csv").open(encoding="utf-8", newline="") as handle:
        header, *rows = csv.reader(handle)
    with (path / "columns.csv").open("w", encoding="utf-8", newline="") as handle:
        named = [[*row, "as_here" if "income" in row else ""] for row in rows]
        csv.writer(handle).writerows([[*header, "convention"], *named])


def test_a_point_is_doubtful_where_the_column_shows_that_it_need_not_be_a_decimal_one(tmp_path: Path) -> None:
    values, aside = load(tmp_path / "s", ["1.234,50", "2.000", "7", "12.500"])
    assert values == [None, None, 7.0, None]
    rules = [(value, rule) for value, rule, _ in aside]
    assert rules == [
        ("1.234,50", "not_a_number"),
        ("2.000", "ambiguous_number"),
        ("12.500", "ambiguous_number"),
    ]
    assert all('written {decimal: ",", thousands: "."}: declare that' in message for *_, message in aside)


def test_what_is_proposed_reads_the_column(tmp_path: Path) -> None:
    values, aside = load(
        tmp_path / "s", ["1.234,50", "2.000", "7", "1.5"], {"decimal": ",", "thousands": "."}
    )
    assert values == [1234.5, 2000.0, 7.0, None]
    assert [(value, rule) for value, rule, _ in aside] == [("1.5", "not_a_number")]


def test_where_commas_only_group_a_point_stays_a_decimal_point(tmp_path: Path) -> None:
    values, aside = load(tmp_path / "s", ["12,000", "2.5", "words"])
    assert values == [None, 2.5, None]
    assert 'written {thousands: ","}' in aside[0][2]


def test_days_are_read_in_the_formats_declared_and_a_day_of_two_meanings_is_set_aside(tmp_path: Path) -> None:
    cells = ["31/12/2020", "2020-01-05", "01/02/2020", "5/6/20"]
    values, aside = load(tmp_path / "s", cells, {"dates": ["%d/%m/%Y"]}, "date")
    assert values == [dt.date(2020, 12, 31), dt.date(2020, 1, 5), dt.date(2020, 2, 1), None]
    values, aside = load(tmp_path / "s", cells, {"dates": ["%d/%m/%Y", "%m/%d/%Y"]}, "date")
    assert values == [dt.date(2020, 12, 31), dt.date(2020, 1, 5), None, None]
    assert [rule for _, rule, _ in aside] == ["ambiguous_date", "not_a_date"]
    values, aside = load(tmp_path / "s", ["31/12/2020", "01/02/2020"], None, "date")
    assert values == [None, None]
    assert '{dates: ["%d/%m/%Y"]}' in aside[0][2]
    values, aside = load(tmp_path / "s", ["01/02/2020"], None, "date")
    assert '{dates: ["%d/%m/%Y"]} or {dates: ["%m/%d/%Y"]}' in aside[0][2]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.dates(dt.date(1901, 1, 1), dt.date(2068, 12, 31)), min_size=10, max_size=10))
def test_days_come_back(days: list[dt.date]) -> None:
    parsed, several = dates_sql("t", ["%d %B %Y"])
    with duckdb.connect() as con:
        rows = [[f"{day:%d %B %Y}"] for day in days]
        con.execute("CREATE TABLE x (t VARCHAR)")
        con.executemany("INSERT INTO x VALUES (?)", rows)
        assert con.execute(f"SELECT {parsed}, {several} FROM x ORDER BY rowid").fetchall() == [
            (day, False) for day in days
        ]


def test_a_number_of_a_workbook_is_not_read_as_thousands(tmp_path: Path) -> None:
    """A workbook holds numbers and texts side by side; the number 1.234 lands as the text that means 1234 elsewhere."""
    path = tmp_path / "s"
    files = [{"file_id": "households", "path": "households.xlsx", "format": "excel"}]
    columns = tuple((*c[:4], "", "", "", "false", "") if c[2] == "income" else c for c in COLUMNS)
    write_folder(path, columns=columns, files=files)
    declare(path, {"decimal": ",", "thousands": "."})
    rows = [
        [f"H{i}", *ROWS[0][1:3], cell, *ROWS[0][4:]] for i, cell in enumerate(["2,5", 1.234, 7, "1.234.567"])
    ]
    pd.DataFrame(rows, columns=HEADER).to_excel(path / "households.xlsx", index=False)
    with duckdb.connect() as con:
        assert ingest(load_folder(path), tmp_path / "landing", con).is_accepted
        values = con.execute('SELECT income FROM raw."s__households" ORDER BY _row').fetchall()
    assert values == [(2.5,), (None,), (7.0,), (1234567.0,)]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"decimal": ",", "thousands": ","}, "cannot separate both decimals and thousands"),
        ({"dates": ["%d/%m/%Y"], "thousands": ","}, "for numbers or, with dates, one for days"),
        ({"dates": ["%d/%m/%Y"]}, "is for days, but the column is of type number"),
        ({"dates": ["tomorrow"]}, "names no day and month"),
        ({"suffixes": {"亩": 0}}, "greater than 0"),
        ({"suffixes": {"3": 1}}, "can be no word before or behind a number"),
        ({"bare": False}, "bare: false needs suffixes"),
        ({"suffixes": {"两": 50}, "numerals": "zh"}, "is a number in Chinese"),
        ({"thousand": ","}, "did you mean 'thousands'?"),
    ],
)
def test_a_convention_that_cannot_be_is_refused_in_words(
    tmp_path: Path, how: dict[str, Any], message: str
) -> None:
    with pytest.raises(SurveyFolderError, match="problem") as refusal:
        load(tmp_path / "s", ["1"], how)
    assert message in str(refusal.value)


def test_a_convention_that_is_not_there_is_named(tmp_path: Path) -> None:
    load(tmp_path / "s", ["1"], {"thousands": ","})
    text = (tmp_path / "s" / "columns.csv").read_text(encoding="utf-8")
    (tmp_path / "s" / "columns.csv").write_text(text.replace("as_here", "as_her"), encoding="utf-8")
    with pytest.raises(
        SurveyFolderError, match=r"convention 'as_her' is not in survey.yml; did you mean 'as_here'\?"
    ):
        load_folder(tmp_path / "s")

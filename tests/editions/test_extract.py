"""Extracts read back by the readers of other programs: values, labels and reasons are those of the warehouse."""

import json
import re
from xml.etree import ElementTree as ET

import duckdb
import numpy as np
import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pyreadstat
import pytest
from ddi import problems

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.publication.extract import ExtractError, choose, labelled, take
from relocation_warehouse.publication.extract.labelled import (
    STATA_MISSING,
    CannotHold,
    LabelledTable,
    Variable,
    missing_codes,
    names_of,
    write_excel,
    write_spss,
    write_stata,
)
from relocation_warehouse.publication.extract.tables import write_household_tables
from relocation_warehouse.survey.vocabulary import Label


def said(text: str) -> Label:
    return Label(en=text, zh=f"{text}（中文）")


REASONS = {"not_asked": said("not asked"), "refused": said("refused")}


def table(**columns) -> LabelledTable:
    """Columns `name=(variable, values, reasons)`."""
    return LabelledTable(
        tuple(v for v, _, _ in columns.values()),
        pd.DataFrame({n: values for n, (_, values, _) in columns.items()}),
        {n: np.array(r, dtype=object) for n, (_, _, r) in columns.items() if r is not None},
        REASONS,
        said("Small"),
    )


@pytest.fixture(scope="module")
def database(published):
    return published / "warehouse.duckdb"


@pytest.fixture(scope="module")
def everything(database):
    return choose(database)


@pytest.fixture(scope="module")
def con(database):
    with duckdb.connect(str(database), read_only=True) as opened:
        yield opened


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("ending", ["dta", "sav"])
def test_values_labels_and_reasons_come_back(everything, con, tmp_path, ending, language):
    taken = take(everything, tmp_path / f"all.{ending}", language)
    assert taken.notes == ()
    read = pyreadstat.read_dta if ending == "dta" else pyreadstat.read_sav
    frame, meta = read(tmp_path / f"all.{ending}", user_missing=True)
    plain, _ = read(tmp_path / f"all.{ending}")
    codes = missing_codes(everything.table.reason_words, 0)
    signs = {r: chr(97 + k) if ending == "dta" else codes[r] for k, r in enumerate(codes)}
    facts = {f["indicator_id"]: f for f in everything.indicators}
    assert len(facts) > 100
    households = con.execute("FROM harmonized.households ORDER BY survey_id, wave_order, household_id").df()
    for name, fact in facts.items():
        words = dict(
            con.execute(
                f"SELECT code, label_{language} FROM reference.codes WHERE code_list = ? ORDER BY display_order",
                [fact["code_list"]],
            ).fetchall()
        )
        expected = households[name]
        if fact["type"] == "category":
            expected = expected.map({code: k for k, code in enumerate(words, start=1)})
            labels = dict(enumerate(words.values(), start=1))
        else:
            labels = {float(code): word for code, word in words.items()}
        np.testing.assert_array_equal(plain[name].to_numpy(float), expected.to_numpy(float), err_msg=name)
        written = {
            k: v for k, v in meta.variable_value_labels.get(name, {}).items() if k not in signs.values()
        }
        assert {float(k): v for k, v in written.items()} == labels, name
        label = fact[f"label_{language}"]
        assert meta.column_names_to_labels[name].startswith(label[:70])
        reasons = everything.table.reasons.get(name)
        if reasons is not None:
            got = frame[name].where(plain[name].isna() & frame[name].notna(), None)
            there = pd.Series(reasons).map(signs)
            assert [None if pd.isna(g) else g for g in got] == [None if pd.isna(t) else t for t in there], (
                name
            )
    assert frame["household_id"].tolist() == households["household_id"].tolist()
    assert frame["weight"].to_numpy() == pytest.approx(households["weight"].to_numpy())


def test_reasons_are_those_of_the_long_view(everything, con):
    counted = dict(
        con.execute(
            "SELECT indicator_id, count(*) FROM harmonized.indicator_values WHERE missing_reason IS NOT NULL"
            " GROUP BY ALL"
        ).fetchall()
    )
    own = {name: int(pd.notna(reasons).sum()) for name, reasons in everything.table.reasons.items()}
    assert own == counted
    assert sum(own.values()) > 1000


def test_plain_formats_keep_codes_and_say_reasons_beside(database, tmp_path):
    extract = choose(database, surveys=["xj_south_2019"])
    for ending in ("csv", "parquet", "xlsx"):
        take(extract, tmp_path / f"x.{ending}")
    frames = [
        pd.read_csv(tmp_path / "x.csv", encoding="utf-8-sig"),
        pd.read_parquet(tmp_path / "x.parquet"),
        pd.read_excel(tmp_path / "x.xlsx", sheet_name="data"),
    ]
    for frame in frames:
        assert len(frame) == len(extract.table.frame)
        for variable in extract.table.variables:
            there = frame[variable.name].notna()
            assert there.sum() == extract.table.frame[variable.name].notna().sum(), variable.name
            if variable.name in extract.table.reasons:
                beside = frame[f"{variable.name}__missing"]
                assert list(beside.dropna()) == [r for r in extract.table.reasons[variable.name] if r]
    field = pq.read_schema(tmp_path / "x.parquet").field("industry_model")
    assert json.loads(field.metadata[b"codes"])["m1"]["zh"]
    sheets = openpyxl.load_workbook(tmp_path / "x.xlsx", read_only=True).sheetnames
    assert sheets == ["data", "variables", "values", "missing"]


def test_the_codebook_says_everything_and_the_ddi_keeps_to_the_standard(everything, tmp_path):
    taken = take(everything, tmp_path / "all.dta")
    book = next(f for f in taken.files if f.name == "all.codebook.md").read_text(encoding="utf-8")
    for name in everything.table.frame:
        assert f"### `{name}`" in book
    for survey in everything.surveys:
        assert survey["citation"] in book
    assert "Made up." in book
    root = ET.parse(next(f for f in taken.files if f.name == "all.ddi.xml")).getroot()
    assert problems(root) == []
    space = "{ddi:codebook:2_5}"
    variables = root.findall(f"{space}dataDscr/{space}var")
    assert [v.get("name") for v in variables] == list(everything.table.frame)
    by_name = {v.get("name"): v for v in variables}
    for name, reasons in everything.table.reasons.items():
        missing = [c for c in by_name[name].findall(f"{space}catgry") if c.get("missing") == "Y"]
        counted = sum(int(c.findtext(f"{space}catStat")) for c in missing)
        assert counted == int(pd.notna(reasons).sum())


def test_a_ddi_that_breaks_the_order_is_found():
    broken = ET.fromstring(
        '<codeBook xmlns="ddi:codebook:2_5" version="2.5"><dataDscr><var ID="V1" name="a"><varFormat type="x"/>'
        "<labl>A</labl></var></dataDscr><stdyDscr/></codeBook>"
    )
    assert len(problems(broken)) >= 3


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"indicators": ["houshold_income_yuan"]}, "did you mean 'household_income_yuan'"),
        ({"waves": ["befor"]}, "did you mean 'before'"),
        ({"surveys": ["nowhere"]}, "there are: gx_urban_rural_2024"),
        ({"surveys": ["gz_anshun_2020"], "waves": ["before"]}, "no household of gz_anshun_2020 in before"),
    ],
)
def test_what_does_not_exist_is_named_with_the_likely_one(database, choice, message):
    with pytest.raises(ExtractError, match=re.escape(message)):
        choose(database, **choice)


def test_an_edition_without_households_and_an_unknown_format_are_refused(published, everything, tmp_path):
    with pytest.raises(ExtractError, match="public edition"):
        choose(published / "public" / "warehouse.duckdb")
    with pytest.raises(ExtractError, match=r"\.dta, \.sav"):
        take(everything, tmp_path / "x.rds")
    assert list(tmp_path.iterdir()) == []


def test_names_beyond_a_limit_are_told_apart_and_said():
    long = "a_name_that_is_much_longer_than_stata_allows"
    variables = [
        Variable(n, said("x"), "number") for n in (long + "_one", long + "_two", "if", "IF_", "short")
    ]
    names, notes = names_of(variables, 32)
    assert len({n.lower() for n in names.values()}) == 5
    assert all(len(n) <= 32 for n in names.values())
    assert names["short"] == "short"
    assert len(notes) == 4
    assert long + "_one" in notes[0]


def test_labels_beyond_a_limit_are_shortened_and_said(tmp_path):
    label, word = said("x" * 300), said("字" * 100)
    small = table(a=(Variable("a", label, "number", {"1": word}), [1.0, 2.0], None))
    notes = write_stata(small, tmp_path / "a.dta", "en")
    _, meta = pyreadstat.read_dta(tmp_path / "a.dta")
    assert meta.column_labels[0] == "x" * 79 + "…"
    assert meta.variable_value_labels["a"] == {1: word.en}
    assert len(notes) == 1
    notes = write_spss(small, tmp_path / "a.sav", "en")
    _, meta = pyreadstat.read_sav(tmp_path / "a.sav")
    assert len(meta.column_labels[0].encode()) <= 256
    assert len(meta.variable_value_labels["a"][1].encode()) <= 120
    assert len(notes) == 2


def test_codes_that_are_no_whole_numbers(tmp_path):
    codes = {"0.5": said("half"), "1": said("one")}
    numbers = table(a=(Variable("a", said("a"), "number", codes), [0.5, 1.0], None))
    assert "0.5 has no label" in write_stata(numbers, tmp_path / "a.dta", "en")[0]
    write_spss(numbers, tmp_path / "a.sav", "en")
    assert pyreadstat.read_sav(tmp_path / "a.sav")[1].variable_value_labels["a"] == {0.5: "half", 1.0: "one"}
    texts = table(b=(Variable("b", said("b"), "code", {"z": said("Z"), "y": said("Y")}), ["y", "z"], None))
    write_stata(texts, tmp_path / "b.dta", "en")
    frame, meta = pyreadstat.read_dta(tmp_path / "b.dta")
    assert (frame["b"].tolist(), meta.variable_value_labels["b"]) == ([2, 1], {1: "Z", 2: "Y"})
    unknown = table(b=(Variable("b", said("b"), "code", {"z": said("Z")}), ["q"], None))
    with pytest.raises(CannotHold, match="'q'"):
        write_stata(unknown, tmp_path / "c.dta", "en")


def test_long_text_becomes_strl_and_is_refused_where_there_is_none(tmp_path):
    long = table(a=(Variable("a", said("a"), "text"), ["x" * 40_000, None], None))
    write_stata(long, tmp_path / "a.dta", "en")
    assert pd.read_stata(tmp_path / "a.dta")["a"].str.len().tolist() == [40_000, 0]
    for write, ending in ((write_spss, "sav"), (write_excel, "xlsx")):
        with pytest.raises(CannotHold, match="40,000 bytes"):
            write(long, tmp_path / f"a.{ending}", "en")


def test_text_beyond_a_strl_is_refused(tmp_path, monkeypatch):
    # two thousand million bytes are not made in a test: the limit is moved
    monkeypatch.setattr(labelled, "STATA_STRL", 50_000)
    long = table(a=(Variable("a", said("a"), "text"), ["x" * 50_001], None))
    with pytest.raises(CannotHold, match=r"a has a text of 50,001 bytes; .* at most 50,000"):
        write_stata(long, tmp_path / "a.dta", "en")
    assert list(tmp_path.iterdir()) == []


def test_codes_that_are_one_number_stay_apart(tmp_path):
    texts = table(a=(Variable("a", said("a"), "code", {"1": said("I"), "01": said("II")}), ["01", "1"], None))
    write_stata(texts, tmp_path / "a.dta", "en")
    frame, meta = pyreadstat.read_dta(tmp_path / "a.dta")
    assert [meta.variable_value_labels["a"][v] for v in frame["a"]] == ["II", "I"]


def test_codes_and_labels_that_stata_cannot_hold(tmp_path):
    codes = {"3000000000": said("large"), "1": said("one")}
    notes = write_stata(
        table(a=(Variable("a", said("a"), "number", codes), [3e9, 1.0], None)), tmp_path / "a.dta", "en"
    )
    assert "a = 3000000000 has no label" in notes[0]
    frame, meta = pyreadstat.read_dta(tmp_path / "a.dta")
    assert frame["a"].tolist() == [3e9, 1.0]
    assert meta.variable_value_labels["a"] == {1: "one"}
    many = {str(k): said(f"place {k:04} of a long list of places") for k in range(1000)}
    places = table(a=(Variable("a", said("a"), "code", many), ["7"], None))
    with pytest.raises(CannotHold, match="32,000 bytes"):
        write_stata(places, tmp_path / "b.dta", "en")
    assert write_spss(places, tmp_path / "b.sav", "en") == []
    assert len(pyreadstat.read_sav(tmp_path / "b.sav")[1].variable_value_labels["a"]) == 1000


def test_a_variable_without_any_value_and_data_below_the_codes(tmp_path):
    absent = table(
        a=(Variable("a", said("a"), "number"), [np.nan] * 3, ["not_asked"] * 3),
        b=(Variable("b", said("b"), "number"), [-500.0, np.nan, 3.0], [None, "refused", None]),
    )
    write_stata(absent, tmp_path / "a.dta", "en")
    frame, _ = pyreadstat.read_dta(tmp_path / "a.dta", user_missing=True)
    assert frame["a"].tolist() == ["a"] * 3
    assert frame["b"].tolist() == [-500.0, "b", 3.0]
    assert pd.read_stata(tmp_path / "a.dta")["b"].isna().tolist() == [False, True, False]
    write_spss(absent, tmp_path / "a.sav", "en")
    frame, meta = pyreadstat.read_sav(tmp_path / "a.sav", user_missing=True)
    assert frame["b"].tolist() == [-500.0, -992.0, 3.0]
    assert meta.missing_ranges["b"] == [{"lo": -992.0, "hi": -991.0}]


def test_extended_missing_values_are_the_patterns_of_the_format():
    # pandas reads what Stata writes: its own names of the patterns are the oracle
    assert [str(pd.io.stata.StataMissingValue(v)) for v in STATA_MISSING[:4]] == [".", ".a", ".b", ".c"]
    assert str(pd.io.stata.StataMissingValue(STATA_MISSING[26])) == ".z"


def test_every_table_of_households_is_published_for_both_programs(database, tmp_path, con):
    contract = contract_of(Paths.from_environment())
    assert write_household_tables(database, contract, tmp_path) == {}
    names = {
        t.full_name for t in contract if t.edition == "analyst" and "household_id" in t.key and not t.is_view
    }
    assert {f.stem for f in (tmp_path / "stata").iterdir()} == {f.stem for f in (tmp_path / "spss").iterdir()}
    assert len(names & {f.stem for f in (tmp_path / "stata").iterdir()}) >= 5
    for name in ("capital.household_capitals", "harmonized.households"):
        frame, meta = pyreadstat.read_dta(tmp_path / "stata" / f"{name}.dta")
        (rows,) = con.execute(f"SELECT count(*) FROM {name}").fetchone()
        assert len(frame) == rows
        assert all(meta.column_labels)

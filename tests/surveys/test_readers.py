"""Every format gives what was written: values, row numbers, labels and missing declarations."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_survey import HEADER, ROWS, csv_text

from relocation_warehouse.survey.readers import ReadResult, UnreadableFile, read, streamed
from relocation_warehouse.survey.readers.base import without_footer
from relocation_warehouse.survey.vocabulary import SurveyFile

FIXTURES = Path(__file__).parents[1] / "fixtures"


def survey_file(path: str, kind: str, **options: object) -> SurveyFile:
    record = {"file_id": "f", "path": path, "format": kind, "household_id": ["hhid"], "options": options}
    return SurveyFile.model_validate(record)


def cells(result: ReadResult) -> list[list[str | None]]:
    return [list(row.values())[:-1] for row in result.table.to_pylist()]


def blank(rows: list[list[str]]) -> list[list[str | None]]:
    return [[c or None for c in row] for row in rows]


# ---- delimited


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_csv_in_every_encoding(tmp_path, encoding, delimiter, declared):
    (tmp_path / "a.csv").write_bytes((csv_text(delimiter=delimiter)).encode(encoding))
    options = {"encoding": encoding, "delimiter": delimiter} if declared else {}
    result = read(survey_file("a.csv", "delimited", **options), tmp_path)
    assert cells(result) == blank(ROWS)
    assert result.table.column_names == [*HEADER, "_row"]
    assert result.table.column("_row").to_pylist() == [2, 3, 4]
    assert result.encoding == encoding
    assert ("declared" if declared else "detected") in result.notes[0]


def test_csv_rows_are_numbered_past_breaks_blank_lines_and_skipped_rows(tmp_path):
    text = 'title\n"id\nnumber",b\nlabel,row\n1,"x\ny"\n\n2,z\n,\n3,w\nfooter,\n'
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    options = {"header_rows": [2], "skip_rows": [3], "skip_footer_rows": 1}
    result = read(survey_file("a.csv", "delimited", **options), tmp_path)
    assert result.table.column_names == ["id\nnumber", "b", "_row"]
    assert result.table.to_pylist() == [
        {"id\nnumber": "1", "b": "x\ny", "_row": 4},
        {"id\nnumber": "2", "b": "z", "_row": 6},
        {"id\nnumber": "3", "b": "w", "_row": 8},
    ]


def test_csv_header_rows_are_joined(tmp_path):
    (tmp_path / "a.csv").write_text("land,land,\narea,kind,id\n1,2,3\n", encoding="utf-8")
    result = read(survey_file("a.csv", "delimited", header_rows=[1, 2]), tmp_path)
    assert result.table.column_names == ["land / area", "land / kind", "id", "_row"]


@pytest.mark.parametrize("wrapping", ["gz", "zip", "zip of two"])
def test_files_inside_archives(tmp_path, wrapping):
    data = csv_text().encode("gb18030")
    name = f"a.csv.{wrapping[:3].strip()}"
    if wrapping == "gz":
        (tmp_path / name).write_bytes(gzip.compress(data))
    else:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("inner/f.csv" if wrapping == "zip of two" else "other.csv", data)
            if wrapping == "zip of two":
                archive.writestr("b.csv", "x\n1\n")
                archive.writestr("readme.pdf", "%PDF")
    result = read(survey_file(name, "delimited"), tmp_path)
    assert cells(result) == blank(ROWS)
    assert result.encoding == "gb18030"


@settings(deadline=None)
@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="gb18030", exclude_characters="\0\r"), max_size=8),
            min_size=3,
            max_size=3,
        ),
        min_size=1,
        max_size=8,
    )
)
def test_csv_round_trip_of_any_text(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("csv")
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    frame.to_csv(folder / "a.csv", index=False, encoding="gb18030", quoting=1)
    result = read(survey_file("a.csv", "delimited", encoding="gb18030", delimiter=","), folder)
    assert cells(result) == blank([r for r in rows if any(r)])


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(0, 12))
def test_footer_rows_are_cut_wherever_batches_end(sizes, footer):
    numbers = iter(range(sum(sizes)))
    batches = [
        pa.record_batch({"_row": pa.array([next(numbers) for _ in range(n)], pa.int64())}) for n in sizes
    ]
    kept = [row for batch in without_footer(batches, footer) for row in batch.column(0).to_pylist()]
    assert kept == list(range(max(0, sum(sizes) - footer)))


# ---- Excel


def workbook(path: Path, fill=None) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "户"
    for row in (
        ["Household survey"],
        ["基本情况", None, "土地", None, "备注"],
        ["编号", "日期", "面积", "等级", None],
        [1, pd.Timestamp("2024-03-05").date(), 2.5, "高", "x"],
        [],
        [2, pd.Timestamp("2024-03-06 10:30").to_pydatetime(), 3.0, 4, None],
        ["note: made up"],
    ):
        sheet.append(row)
    for merged in ("A1:E1", "A2:B2", "C2:D2", "E2:E3"):
        sheet.merge_cells(merged)
    if fill:
        fill(sheet)
    book.create_sheet("empty")
    book.save(path)


OPTIONS = {"sheet": "户", "header_rows": [2, 3], "skip_footer_rows": 1}


def test_excel_with_merged_headers_title_footer_and_mixed_types(tmp_path):
    workbook(tmp_path / "a.xlsx")
    result = read(survey_file("a.xlsx", "excel", **OPTIONS), tmp_path)
    headers = ["基本情况 / 编号", "基本情况 / 日期", "土地 / 面积", "土地 / 等级", "备注"]
    assert result.table.column_names == [*headers, "_row"]
    assert cells(result) == [
        ["1", "2024-03-05", "2.5", "高", "x"],
        ["2", "2024-03-06 10:30:00", "3", "4", None],
    ]
    assert result.table.column("_row").to_pylist() == [4, 6]


def test_excel_formulas_and_errors_are_not_taken_for_blanks(tmp_path):
    def fill(sheet):
        sheet["C4"] = "=1+1"
        sheet["D4"] = "#DIV/0!"

    workbook(tmp_path / "a.xlsx", fill)
    result = read(survey_file("a.xlsx", "excel", **OPTIONS), tmp_path)
    assert cells(result)[0][2:4] == ["=1+1", "#DIV/0!"]


def test_ods(tmp_path):
    frame = pd.DataFrame({"编号": [1, 2], "b": ["x", None], "c": [1.5, 2.0]})
    frame.to_excel(tmp_path / "a.ods", index=False, engine="odf", sheet_name="S")
    result = read(survey_file("a.ods", "excel", sheet="S"), tmp_path)
    assert cells(result) == [["1", "x", "1.5"], ["2", None, "2"]]


def test_xls():
    """The fixture was written once by xlwt 1.3.0; nothing that can write the old format is a dependency."""
    result = read(survey_file("households.xls", "excel", sheet="户"), FIXTURES)
    assert result.table.column_names == ["编号", "面积", "日期", "_row"]
    assert cells(result) == [["H1", "2.5", "2024-03-05"], ["H2", "3", None]]


# ---- SPSS and Stata

FRAME = pd.DataFrame(
    {
        "hhid": ["H1", "H2", "H3"],
        "q": [1.0, 9.0, np.nan],
        "n": [1.5, 95.0, -9.0],
        "s": ["甲", "乙", "长" * 400],
        "d": pd.to_datetime(["2019-01-02", None, "2019-02-03 10:30"], format="ISO8601"),
    }
)


@pytest.mark.parametrize("name", ["a.sav", "a.zsav"])
def test_spss_keeps_missing_codes_and_labels(tmp_path, name):
    pyreadstat.write_sav(
        FRAME,
        tmp_path / name,
        column_labels={"q": "您满意吗"},
        variable_value_labels={"q": {1: "满意", 9: "不知道"}},
        missing_ranges={"q": [9], "n": [-9, {"lo": 90, "hi": 98}]},
        row_compress=name == "a.zsav",
    )
    result = read(survey_file(name, "spss"), tmp_path)
    assert result.table.column("q").to_pylist() == [1.0, 9.0, None]
    assert result.table.column("n").to_pylist() == [1.5, 95.0, -9.0]
    assert result.table.column("s").to_pylist() == FRAME["s"].tolist()
    assert result.table.column("d").to_pylist() == ["2019-01-02", None, "2019-02-03 10:30:00"]
    assert result.table.column("_row").to_pylist() == [1, 2, 3]
    book = {row["column"]: row for row in result.codebook.to_pylist()}
    assert book["q"]["label"] == "您满意吗"
    assert json.loads(book["q"]["value_labels"]) == {"1": "满意", "9": "不知道"}
    assert json.loads(book["q"]["missing_declared"]) == ["9"]
    assert sorted(map(str, json.loads(book["n"]["missing_declared"]))) == ["-9", "[90.0, 98.0]"]


def test_spss_portable(tmp_path):
    pyreadstat.write_por(pd.DataFrame({"HHID": ["H1", "H2"], "Q": [1.0, 2.5]}), tmp_path / "a.por")
    result = read(survey_file("a.por", "spss"), tmp_path)
    assert cells(result) == [["H1", 1.0], ["H2", 2.5]]


def test_spss_in_chunks_is_the_same_file(tmp_path, monkeypatch):
    frame = pd.DataFrame({"x": np.arange(1000.0), "s": [f"第{i}户" for i in range(1000)]})
    pyreadstat.write_sav(frame, tmp_path / "a.sav")
    whole = read(survey_file("a.sav", "spss"), tmp_path).table
    monkeypatch.setattr("relocation_warehouse.survey.readers.statistical.CHUNK_ROWS", 300)
    with streamed(tmp_path / "a.sav", survey_file("a.sav", "spss")) as received:
        batches = list(received.batches)
    assert len(batches) == 4
    assert pa.Table.from_batches(batches).equals(whole)
    assert whole.column("s").to_pylist() == frame["s"].tolist()


def test_stata_extended_missings_and_long_strings(tmp_path):
    frame = FRAME.assign(q=pd.Series([1.0, "a", np.nan], dtype=object), s=["甲", "乙", "x" * 3000])
    pyreadstat.write_dta(
        frame,
        tmp_path / "a.dta",
        column_labels={"q": "您满意吗"},
        variable_value_labels={"q": {1: "满意", "a": "拒答"}},
        missing_user_values={"q": ["a"]},
    )
    result = read(survey_file("a.dta", "stata"), tmp_path)
    assert result.table.column("q").to_pylist() == ["1", ".a", None]
    assert result.table.column("s").to_pylist()[2] == "x" * 3000
    assert result.table.column("d").to_pylist() == ["2019-01-02", None, "2019-02-03 10:30:00"]
    book = {row["column"]: row for row in result.codebook.to_pylist()}
    assert json.loads(book["q"]["value_labels"]) == {"1": "满意", ".a": "拒答"}
    assert json.loads(book["q"]["missing_declared"]) == [".a"]


# ---- ODK and Kobo

SUBMISSIONS = [
    {
        "_uuid": "u1",
        "hh/code": "H1",
        "hh/help": "land work",
        "_geolocation": [1.5, None],
        "hh/members": [
            {"hh/members/age": "35", "hh/members/jobs": [{"hh/members/jobs/pay": 10}]},
            {"hh/members/age": 7},
        ],
    },
    {
        "_uuid": "u2",
        "hh/code": "H2",
        "nested": {"group": {"q": True}},
        "hh/members": [{"hh/members/age": "50"}],
    },
]


@pytest.mark.parametrize("wrapping", ["list", "results", "zip"])
def test_kobo_json_with_nested_repeats(tmp_path, wrapping):
    text = json.dumps({"results": SUBMISSIONS} if wrapping == "results" else SUBMISSIONS, ensure_ascii=False)
    if wrapping == "zip":
        with zipfile.ZipFile(tmp_path / "a.json", "w") as archive:
            archive.writestr("data.json", text)
    else:
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
    households = read(survey_file("a.json", "odk"), tmp_path).table.to_pylist()
    assert [(r["hh/code"], r["hh/help"], r["nested/group/q"], r["_row"]) for r in households] == [
        ("H1", "land work", None, 1),
        ("H2", None, "TRUE", 2),
    ]
    members = read(survey_file("a.json", "odk", repeat="members"), tmp_path).table.to_pylist()
    assert [(r["hh/members/age"], r["hh/code"], r["_row"]) for r in members] == [
        ("35", "H1", 1),
        ("7", "H1", 2),
        ("50", "H2", 3),
    ]
    jobs = read(survey_file("a.json", "odk", repeat="jobs"), tmp_path).table.to_pylist()
    assert [(r["hh/members/jobs/pay"], r["hh/members/age"], r["hh/code"]) for r in jobs] == [
        ("10", "35", "H1")
    ]


TABLES = {
    "kobo": {
        "form": "hh/code,_uuid,_index\nH1,u1,1\nH2,u2,2\n",
        "form-members": "age,_parent_index,_parent_table_name\n35,1,form\n50,2,form\n60,7,form\n",
    },
    "central": {
        "form": "hh/code,KEY\nH1,uuid:1\nH2,uuid:2\n",
        "form-members": "age,PARENT_KEY,KEY\n35,uuid:1,m1\n50,uuid:2,m2\n60,uuid:7,m3\n",
    },
}


@pytest.mark.parametrize("shape", ["zip", "xlsx"])
@pytest.mark.parametrize("platform", TABLES)
def test_odk_tables_are_joined_to_their_submission(tmp_path, platform, shape):
    frames = {name: pd.read_csv(io.StringIO(text)) for name, text in TABLES[platform].items()}
    if shape == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for name, text in TABLES[platform].items():
                archive.writestr(f"{name}.csv", text)
    else:
        with pd.ExcelWriter(tmp_path / "a.zip", engine="openpyxl") as writer:
            for name, frame in frames.items():
                frame.to_excel(writer, sheet_name=name, index=False)
    members = read(survey_file("a.zip", "odk", repeat="members"), tmp_path).table.to_pylist()
    assert [(r["age"], r["hh/code"], r["_row"]) for r in members] == [
        ("35", "H1", 2),
        ("50", "H2", 3),
        ("60", None, 4),
    ]
    households = read(survey_file("a.zip", "odk"), tmp_path).table
    assert households.column("hh/code").to_pylist() == ["H1", "H2"]


@pytest.mark.parametrize(("language", "label", "choice"), [("English", "Sex", "Man"), ("中文", "性别", "男")])
def test_odk_labels_come_from_the_form_in_the_language_asked_for(tmp_path, language, label, choice):
    form = io.BytesIO()
    languages = ["label::English (en)", "label::中文 (zh)"]
    with pd.ExcelWriter(form, engine="openpyxl") as writer:
        survey = pd.DataFrame(
            [["select_one sex", "sex", "Sex", "性别"]], columns=["type", "name", *languages]
        )
        survey.to_excel(writer, sheet_name="survey", index=False)
        choices = pd.DataFrame([["sex", "m", "Man", "男"]], columns=["list_name", "name", *languages])
        choices.to_excel(writer, sheet_name="choices", index=False)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("form.csv", "head/sex,_uuid\nm,u1\n")
        archive.writestr("form.xlsx", form.getvalue())
    book = read(survey_file("a.zip", "odk", language=language), tmp_path).codebook.to_pylist()
    assert (book[0]["column"], book[0]["label"]) == ("head/sex", label)
    assert json.loads(book[0]["value_labels"]) == {"m": choice}


# ---- Parquet


def test_parquet_types(tmp_path):
    table = pa.table(
        {
            "i": pa.array([2**60, None]),
            "f": pa.array([1.5, None], pa.float32()),
            "b": [True, False],
            "t": pa.array(pd.to_datetime(["2024-03-05", "2024-03-05 10:30"], format="ISO8601")),
            "d": pa.array([19787, None], pa.date32()),
            "c": pa.array(["甲", "乙"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    result = read(survey_file("a.parquet", "parquet"), tmp_path)
    assert cells(result) == [
        [2**60, 1.5, "TRUE", "2024-03-05", "2024-03-05", "甲"],
        [None, None, "FALSE", "2024-03-05 10:30:00", None, "乙"],
    ]


def test_parquet_with_lists_is_refused(tmp_path):
    pq.write_table(pa.table({"x": [[1], [2]]}), tmp_path / "a.parquet")
    with pytest.raises(UnreadableFile, match=r"a\.parquet: column 'x' holds list"):
        read(survey_file("a.parquet", "parquet"), tmp_path)


@pytest.mark.parametrize(("columns", "rows"), [(4000, 60), (400, 9000)])
def test_a_wide_table_is_read_within_the_limits(tmp_path: Path, columns: int, rows: int) -> None:
    """The parser sets memory aside for each column: a table of some hundred columns asked for gigabytes."""
    line = ",".join(str(k % 97) for k in range(columns - 1))
    with (tmp_path / "wide.csv").open("w", encoding="utf-8") as handle:
        handle.write("hh," + ",".join(f"q{k}" for k in range(columns - 1)) + "\n")
        handle.writelines(f"{n},{line}\n" for n in range(rows))
    table = read(survey_file("wide.csv", "delimited"), tmp_path).table
    assert table.num_rows == rows
    assert table["hh"].to_pylist() == [str(n) for n in range(rows)]
    assert set(table[f"q{columns - 2}"].to_pylist()) == {str((columns - 2) % 97)}


@pytest.mark.parametrize("header", ["q", "a question of the household in many words as people write it " * 2])
def test_a_row_longer_than_the_block_of_a_wide_table_is_read(tmp_path: Path, header: str) -> None:
    headers = ",".join(f"{header}{k}" for k in range(2000))
    rows = [",".join([f"r{n}", *["x" * (300 if n == 700 else 3)] * 1999]) for n in range(1000)]
    (tmp_path / "long.csv").write_text("\n".join([headers, *rows]) + "\n", encoding="utf-8")
    table = read(survey_file("long.csv", "delimited"), tmp_path).table
    assert table[f"{header}0"].to_pylist() == [f"r{n}" for n in range(1000)]
    assert [n for n, v in enumerate(table[f"{header}1999"].to_pylist()) if v != "xxx"] == [700]

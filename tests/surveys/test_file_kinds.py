"""What a file can say wrongly, by kind: no value is wrong and no row lost in silence; a refusal says what to do."""

import csv
import datetime as dt
import io
import json
import os
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from small_survey import CODES, COLUMNS, HEADER, ROWS, csv_text, write_folder

from relocation_warehouse.survey.folder import load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.problems import SurveyFolderError
from relocation_warehouse.survey.readers import UnreadableFile, read, streamed
from relocation_warehouse.survey.readers.quotes import count_records
from relocation_warehouse.survey.scaffold import file_format
from relocation_warehouse.survey.vocabulary import SurveyFile


def declared(path: str, kind: str, **options: object) -> SurveyFile:
    record = {"file_id": "f", "path": path, "format": kind, "household_id": ["hhid"], "options": options}
    return SurveyFile.model_validate(record)


def came(folder: Path, path: str, kind: str, **options: object) -> list[dict[str, Any]]:
    """Rows as they are read in this process."""
    with streamed(folder / path, declared(path, kind, **options)) as received:
        return pa.Table.from_batches(received.batches, received.schema).to_pylist()


def book(folder: Path, path: str, kind: str, **options: object) -> dict[str, Any]:
    with streamed(folder / path, declared(path, kind, **options)) as received:
        return {e.column: e for e in received.entries}


def load(root: Path, text: str | bytes, con: duckdb.DuckDBPyConnection, **kwargs: Any):
    folder = write_folder(root / "s", **kwargs)
    (root / "s" / "households.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return ingest(folder, root / "landing", con)


def zipped(path: Path, **members: str | bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.fixture
def con():
    with duckdb.connect() as connection:
        yield connection


def column(file_id, header, variable, type="", minimum="", maximum="", codes="", why=""):
    return (file_id, header, variable, type, minimum, maximum, codes, "false", why)


SITES = "list,code,value,missing_reason,label_en,label_zh\nsite,A,SITE_A,,A,A\nsite,B,SITE_B,,B,B\n"

# ---- 1: keys

LINK = "_index,_parent_table_name,_parent_index,_submission__id,_submission__uuid"


@pytest.mark.parametrize(
    ("form", "members", "says"),
    [
        (
            "code,_uuid\nH1,u1\nH2,u1\n",
            "age,_submission__uuid\n3,u1\n",
            "_uuid u1 of form occurs in several rows",
        ),
        ("code,KEY\nH1,k\nH2,k\n", "age,PARENT_KEY\n3,k\n", "KEY k of form occurs in several rows"),
        ("code,_index\nH1,1\nH2,1\n", "age,_parent_index,_parent_table_name\n3,1,form\n", "_index 1 of form"),
        ("code,_index\nH1,1\n", "age,_parent_index,_parent_table_name\n3,1,gone\n", "is its parent gone"),
        (
            "code,_index,_id\nH1,1,11\nH2,2,12\n",
            "age,_parent_index,_parent_table_name,_submission__id\n3,1,form,12\n",
            "names another|_submission__id is 12, but its _parent_index leads to 11",
        ),
        (
            "code,_index\nH1,1\n",
            "age,_parent_index,_parent_table_name\n3,1,form\n4,1,other\n",
            "names several tables",
        ),
    ],
)
def test_a_key_that_is_none_joins_nothing(tmp_path, form, members, says):
    zipped(tmp_path / "a.zip", **{"form.csv": form, "members.csv": members})
    with pytest.raises(UnreadableFile, match=says):
        came(tmp_path, "a.zip", "odk", repeat="members")
    assert len(came(tmp_path, "a.zip", "odk")) == form.count("\n") - 1


def test_a_blank_key_joins_nothing(tmp_path):
    members = "age,PARENT_KEY\n3,\n4,k1\n"
    zipped(tmp_path / "a.zip", **{"form.csv": "code,KEY\nH1,\nH2,k1\n", "members.csv": members})
    result = came(tmp_path, "a.zip", "odk", repeat="members")
    assert [(r["age"], r["code"]) for r in result] == [("3", None), ("4", "H2")]


def test_two_parents_whose_names_were_cut_alike_are_refused(tmp_path):
    long = "household_members_and_their_relatives"
    tables = {
        long[:31]: "name,_index,_parent_table_name,_parent_index\na,1,form,1\n",
        f"{long[:24]}... (1)": "name,_index,_parent_table_name,_parent_index\nb,1,form,1\n",
        "form": "code,_index\nH1,1\n",
        "jobs": f"pay,_index,_parent_table_name,_parent_index\n10,1,{long},1\n",
    }
    with pd.ExcelWriter(tmp_path / "a.xlsx", engine="openpyxl") as writer:
        for name, text in tables.items():
            pd.read_csv(io.StringIO(text), dtype=str).to_excel(writer, sheet_name=name, index=False)
    with pytest.raises(UnreadableFile, match="as its parent, which may be"):
        came(tmp_path, "a.xlsx", "odk", repeat="jobs")


def test_a_column_of_the_same_name_above_has_a_path(tmp_path):
    form, members = "code,_index\nH1,1\nH2,2\n", "code,_parent_index,_parent_table_name\n7,2,form\n"
    zipped(tmp_path / "a.zip", **{"form.csv": form, "members.csv": members})
    (row,) = came(tmp_path, "a.zip", "odk", repeat="members")
    assert (row["code"], row["../code"]) == ("7", "H2")


@pytest.mark.parametrize("content", [{"count": 3, "next": None}, {"count": 2, "next": "page 2"}])
def test_one_page_of_several_is_not_all_of_them(tmp_path, content):
    (tmp_path / "a.json").write_text(json.dumps({**content, "results": [{"a": 1}, {"a": 2}]}))
    with pytest.raises(UnreadableFile, match=r"holds 2 of . submissions"):
        came(tmp_path, "a.json", "odk")


# ---- 2: names and paths


def form(survey: list[list[str]], choices: list[list[str]], list_name: str = "list_name") -> bytes:
    out = io.BytesIO()
    with pd.ExcelWriter(out, engine="openpyxl") as writer:
        pd.DataFrame(survey, columns=["type", "name", "label"]).to_excel(
            writer, sheet_name="survey", index=False
        )
        pd.DataFrame(choices, columns=[list_name, "name", "label"]).to_excel(
            writer, sheet_name="choices", index=False
        )
    return out.getvalue()


YES_NO = [["yn", "1", "Yes"], ["yn", "2", "No"], ["ny", "1", "No"], ["ny", "2", "Yes"]]
TWO = [
    ["begin_group", "head", "Head"], ["select_one yn", "works", "Head works?"], ["end_group", "", ""],
    ["begin group", "spouse", "Spouse"], ["select_one ny", "works", "Spouse works?"], ["end group", "", ""],
]  # fmt: skip


@pytest.mark.parametrize("separator", ["/", "-", ":", "."])
def test_a_question_is_known_by_its_path(tmp_path, separator):
    headers = [f"head{separator}works", f"spouse{separator}works"]
    zipped(
        tmp_path / "a.zip",
        **{"f.csv": ",".join([*headers, "works", "_uuid"]) + "\n1,2,1,u\n", "f.xlsx": form(TWO, YES_NO)},
    )
    result = book(tmp_path, "a.zip", "odk")
    assert [result[h].label for h in headers] == ["Head works?", "Spouse works?"]
    assert [result[h].value_labels["1"] for h in headers] == ["Yes", "No"]
    assert result["works"].label is None  # it could be either


@pytest.mark.parametrize("list_name", ["list name", "list_name", "List Name", "LIST_NAME "])
@pytest.mark.parametrize(
    "kind", ["select_one yn", "select one yn", "select_one yn or_other", "select_one  yn or other"]
)
def test_every_way_to_write_a_list(tmp_path, list_name, kind):
    zipped(
        tmp_path / "a.zip",
        **{"f.csv": "q,_uuid\n1,u\n", "f.xlsx": form([[kind, "q", "Q"]], YES_NO, list_name)},
    )
    assert book(tmp_path, "a.zip", "odk")["q"].value_labels.items() >= {"1": "Yes", "2": "No"}.items()


def test_versions_of_a_form_say_what_they_agree_on(tmp_path):
    first = form([["select_one yn", "q", "Q"]], [["yn", "1", "Yes"], ["yn", "2", "No"]])
    second = form([["select_one yn", "q", "Q"]], [["yn", "1", "Yes"], ["yn", "2", "Perhaps"]])
    zipped(tmp_path / "a.zip", **{"f.csv": "q,_uuid\n1,u\n", "v1.xlsx": first, "v2.xlsx": second})
    assert book(tmp_path, "a.zip", "odk")["q"].value_labels == {"1": "Yes"}


def test_one_name_with_two_labels_in_a_filtered_list_has_none(tmp_path):
    choices = [["v", "1", "East"], ["v", "1", "West"], ["v", "2", "South"]]
    zipped(
        tmp_path / "a.zip",
        **{"f.csv": "q,_uuid\n1,u\n", "f.xlsx": form([["select_one v", "q", "Q"]], choices)},
    )
    assert book(tmp_path, "a.zip", "odk")["q"].value_labels == {"2": "South"}


@pytest.mark.parametrize("layout", ["a/form.csv b/form.csv", "form.csv data.json"])
def test_an_archive_that_could_be_two_forms_is_refused(tmp_path, layout):
    zipped(
        tmp_path / "a.zip",
        **{name: "[]" if name.endswith("json") else "a,b\n1,2\n" for name in layout.split()},
    )
    with pytest.raises(UnreadableFile, match="archive holds"):
        came(tmp_path, "a.zip", "odk")


@pytest.mark.parametrize(("survey_id", "file_id"), [("a", "b__c"), ("a__b", "c")])
def test_names_that_would_join_alike_are_refused(tmp_path, survey_id, file_id):
    files = [{"file_id": file_id, "path": "x.csv", "format": "delimited"}]
    with pytest.raises(SurveyFolderError, match="'__', which joins names"):
        write_folder(tmp_path / survey_id, files=files, columns=tuple((file_id, *c[1:]) for c in COLUMNS))


def test_one_answer_given_twice_in_json_is_refused(tmp_path):
    for text in ('[{"a": 1, "a": 2}]', '[{"g/a": 1, "g": {"a": 2}}]'):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(UnreadableFile, match="twice in one submission"):
            came(tmp_path, "a.json", "odk")


# ---- 3: structure and answers


def test_empty_repeats_are_no_columns_and_no_members(tmp_path):
    submissions = [{"c": "H1", "m": []}, {"c": "H2", "m": [{"m/age": 3}, {"m/age": None}, {}]}]
    (tmp_path / "a.json").write_text(json.dumps(submissions))
    assert came(tmp_path, "a.json", "odk") == [{"c": "H1", "_row": 1}, {"c": "H2", "_row": 2}]
    (row,) = came(tmp_path, "a.json", "odk", repeat="m")
    assert (row["m/age"], row["c"], row["_row"]) == ("3", "H2", 1)


def test_an_instance_that_only_holds_others_is_kept(tmp_path):
    submissions = [{"c": "H1", "m": [{"m/age": None, "m/j": [{"m/j/pay": 1}]}, {"m/age": None, "m/j": [{}]}]}]
    (tmp_path / "a.json").write_text(json.dumps(submissions))
    assert len(came(tmp_path, "a.json", "odk", repeat="m")) == 1


def stored(path: Path, cell: str, xml: str) -> None:
    """Put the XML of a cell into a workbook, as another program would have written it."""
    with zipfile.ZipFile(path) as archive:
        parts = {n: archive.read(n) for n in archive.namelist()}
    text = parts["xl/worksheets/sheet1.xml"].decode()
    text, count = re.subn(rf'<c r="{cell}"[^>]*?(/>|>.*?</c>)', xml, text)
    assert count == 1
    parts["xl/worksheets/sheet1.xml"] = text.encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("xml", "landed"),
    [
        ('<c r="B2" t="str"><f>IF(1,"","x")</f><v></v></c>', None),
        ('<c r="B2" t="str"><f>IF(1,"","x")</f><v/></c>', None),
        ('<c r="B2"><f>1+1</f></c>', "=1+1"),
        ('<c r="B2"><f>1+1</f><v></v></c>', "=1+1"),
        ('<c r="B2"><f>1+1</f><v>0</v></c>', "=1+1"),  # openpyxl leaves results to whoever opens the file
        ('<c r="B2"><f>1+1</f><v>2</v></c>', "2"),
        ('<c r="B2" t="e"><f>1/0</f><v>#DIV/0!</v></c>', "#DIV/0!"),
        ('<c r="B2" t="e"><v>#N/A</v></c>', "#N/A"),
    ],
)
def test_a_formula_is_its_result_or_itself(tmp_path, xml, landed):
    workbook = openpyxl.Workbook()
    for row in (["h", "v"], ["H1", 7]):
        workbook.active.append(row)
    workbook.save(tmp_path / "a.xlsx")
    stored(tmp_path / "a.xlsx", "B2", xml)
    assert came(tmp_path, "a.xlsx", "excel") == [{"h": "H1", "v": landed, "_row": 2}]


def test_a_merged_answer_counts_for_its_rows_and_not_for_its_columns(tmp_path):
    workbook = openpyxl.Workbook()
    for row in (["h", "v", "w"], ["H1", 1, 2], [None, 3, 4]):
        workbook.active.append(row)
    workbook.active.merge_cells("A2:A3")
    workbook.save(tmp_path / "a.xlsx")
    assert [r["h"] for r in came(tmp_path, "a.xlsx", "excel")] == ["H1", "H1"]
    workbook.active.merge_cells("B2:C2")
    workbook.save(tmp_path / "a.xlsx")
    with pytest.raises(UnreadableFile, match="merged over columns 2 to 3"):
        came(tmp_path, "a.xlsx", "excel")


# ---- 4: encodings and zones

CHINESE = ["东山村", "西川乡", "满意", "不满意", "张家口市"]


def old_stata(path: Path, version: int, encoding: str, texts: list[str]) -> None:
    raw = [t.encode(encoding).decode("latin-1") for t in texts]
    frame = pd.DataFrame({"v": raw, "q": np.arange(float(len(raw)))})
    frame["k"] = pd.Categorical(raw)
    frame.to_stata(path, write_index=False, version=version, variable_labels={"q": raw[0]})


@pytest.mark.parametrize("version", [114, 117])
@pytest.mark.parametrize(
    ("encoding", "is_declared"), [("gb18030", False), ("gb18030", True), ("utf-8", False), ("cp1252", True)]
)
def test_text_of_old_stata_files(tmp_path, version, encoding, is_declared):
    texts = ["Ñuñoa", "Córdoba", "São"] if encoding == "cp1252" else CHINESE
    old_stata(tmp_path / "a.dta", version, encoding, texts)
    options = {"encoding": encoding} if is_declared else {}
    assert [r["v"] for r in came(tmp_path, "a.dta", "stata", **options)] == texts
    result = book(tmp_path, "a.dta", "stata", **options)
    assert result["q"].label == texts[0]
    assert set(result["k"].value_labels.values()) == set(texts)


@pytest.mark.parametrize("version", [114, 117])
def test_an_encoding_that_cannot_be_told_is_asked_for(tmp_path, version):
    old_stata(tmp_path / "a.dta", version, "cp1252", ["José María Muñoz", "Núñez"])
    with pytest.raises(UnreadableFile, match=r"cannot be determined with certainty; set options\.encoding"):
        came(tmp_path, "a.dta", "stata")
    with pytest.raises(UnreadableFile, match="text is not utf-8"):
        came(tmp_path, "a.dta", "stata", encoding="utf-8")


def test_text_cut_within_a_character_says_so(tmp_path):
    raw = [
        "东山村".encode("gb18030")[:-1].decode("latin-1"),
        *(t.encode("gb18030").decode("latin-1") for t in CHINESE),
    ]
    pd.DataFrame({"v": raw}).to_stata(tmp_path / "a.dta", write_index=False, version=114)
    assert came(tmp_path, "a.dta", "stata", encoding="gb18030")[0]["v"] == "东山\ufffd"


def test_an_spss_file_that_does_not_say_its_encoding(tmp_path):
    raw = [t.encode("gb18030").decode("latin-1") for t in CHINESE]
    pyreadstat.write_sav(pd.DataFrame({"v": ["x" * 12] * len(raw)}), tmp_path / "a.sav")
    data = (tmp_path / "a.sav").read_bytes()
    head = struct.pack("<iiii", 7, 20, 1, 5)
    assert head in data
    data = data.replace(head, struct.pack("<iiii", 7, 99, 1, 5))  # an extension that no reader knows
    for text in CHINESE:
        data = data.replace(b"x" * 12, text.encode("gb18030").ljust(12), 1)
    (tmp_path / "a.sav").write_bytes(data)
    assert [r["v"] for r in came(tmp_path, "a.sav", "spss")] == CHINESE


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "+08:00", "America/Lima", "UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_with_a_zone_is_the_clock_of_that_zone(tmp_path, zone, unit):
    local = pd.DatetimeIndex(["2024-03-05 00:00", "2024-03-05 23:30", None]).tz_localize(zone).as_unit(unit)
    pq.write_table(pa.table({"t": pa.array(local), "x": [1, 2, 3]}), tmp_path / "a.parquet")
    assert [r["t"] for r in came(tmp_path, "a.parquet", "parquet")] == [
        "2024-03-05",
        "2024-03-05 23:30:00",
        None,
    ]


@pytest.mark.parametrize(
    "encoding", ["rot13", "base64", "zlib", "hex", "idna", "unicode_escape", "undefined", "utf-99", "\0"]
)
def test_what_is_no_encoding_is_refused(tmp_path, encoding):
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    pd.DataFrame({"a": ["x"]}).to_stata(tmp_path / "a.dta", write_index=False)
    for path, kind in (("a.csv", "delimited"), ("a.dta", "stata")):
        with pytest.raises(UnreadableFile, match=r"encoding .* is not known"):
            came(tmp_path, path, kind, encoding=encoding)


# ---- 5: numbers of many digits


@pytest.mark.parametrize("number", [10**15, 5301021000010001, 2**53 - 1, 2**53])
def test_whole_numbers_stay_whole(tmp_path, con, number):
    pyreadstat.write_sav(pd.DataFrame({"h": [float(number)], "s": ["A"]}), tmp_path / "a.sav")
    files = [
        {"file_id": "h", "path": "a.sav", "format": "spss"},
        {"file_id": "m", "path": "m.csv", "format": "delimited", "grain": "member"},
    ]
    columns = (column("h", "h", "hhid", "text"), column("h", "s", "site", "code", codes="site"),
               column("m", "h", "hhid", "text"), column("m", "age", "age", "number"))  # fmt: skip
    folder = write_folder(tmp_path / "s", files=files, columns=columns, codes=SITES)
    (tmp_path / "a.sav").rename(tmp_path / "s" / "a.sav")
    (tmp_path / "s" / "m.csv").write_text(f"h,age\n{number},30\n")
    assert ingest(folder, tmp_path / "landing", con).quarantined_rows == 0
    assert con.execute('SELECT _household_id FROM raw."s__m"').fetchall() == [(str(number),)]


def test_open_ends_of_missing_ranges_are_json(tmp_path):
    ranges = {
        "q": [{"lo": -1.7976931348623157e308, "hi": -1}],
        "r": [{"lo": 97, "hi": 1.7976931348623157e308}],
    }
    frame = pd.DataFrame({"q": [1.0], "r": [2.0], "t": ["x"]})
    pyreadstat.write_sav(frame, tmp_path / "a.sav", missing_ranges=ranges)
    rows = read(declared("a.sav", "spss"), tmp_path).codebook.to_pylist()
    assert [json.loads(e["missing_declared"]) for e in rows[:2]] == [[[None, -1.0]], [[97.0, None]]]


def test_words_of_columns_that_are_personal_or_ignored_stay_in_their_file(tmp_path, con):
    person = "张三 13812345678"
    frame = pd.DataFrame({"h": ["1"], "s": [1.0], "who": [1.0], "other": [1.0]})
    pyreadstat.write_sav(
        frame,
        tmp_path / "a.sav",
        column_labels={"s": "the site", "who": person, "other": person},
        variable_value_labels={"s": {1.0: "site one"}, "who": {1.0: person}, "other": {1.0: person}},
        missing_ranges={"who": [99.0]},
    )
    columns = (column("h", "h", "hhid", "text"), column("h", "s", "site", "code", codes="site"),
               ("h", "who", "", "", "", "", "", "true", "names"),
               ("h", "other", "", "", "", "", "", "false", "not needed"))  # fmt: skip
    files = [{"file_id": "h", "path": "a.sav", "format": "spss"}]
    folder = write_folder(tmp_path / "s", files=files, columns=columns, codes=SITES)
    (tmp_path / "a.sav").rename(tmp_path / "s" / "a.sav")
    assert ingest(folder, tmp_path / "landing", con).problems == ()
    told = con.execute('SELECT * FROM quality.codebook ORDER BY "position"').fetchall()
    assert len(told) == 4
    assert "site one" in str(told)
    assert person not in str(told)


# ---- 6: quotation marks


@settings(deadline=None)
@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6), min_size=2, max_size=2
        ),
        max_size=6,
    ),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_records_are_counted_as_they_were_written(rows, quoting, end):
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting, lineterminator=end).writerows([["a", "b"], *rows])
    lines = io.StringIO(out.getvalue(), newline="").readlines()
    try:
        result = count_records(lines, ",", 2, 1)
    except UnreadableFile:
        result = None  # answers that look like rows, or are cut by a break that the writer did not quote
    has_breaks = any("\n" in c or "\r" in c for row in rows for c in row)
    assert result == len(rows) + 1 or (result is None and has_breaks)


@pytest.mark.parametrize("first", range(2, 8))
@pytest.mark.parametrize("column_of", [0, 3, 7])
def test_two_stray_marks_swallow_no_row(tmp_path, con, first, column_of):
    rows = [[f"H{i}", *ROWS[0][1:-1], "好"] for i in range(1, 9)]
    for last in range(first + 1, 9):
        text = [list(r) for r in rows]
        text[first - 1][column_of] = '"' + text[first - 1][column_of]
        text[last - 1][column_of] = text[last - 1][column_of] + '"'
        content = "\n".join(",".join(r) for r in [HEADER, *text]) + "\n"
        (tmp_path / "a.csv").write_text(content)
        with pytest.raises(UnreadableFile, match=f"lines {first + 1} to {last + 1} are one cell"):
            came(tmp_path, "a.csv", "delimited")


def test_an_answer_cut_in_two_by_a_carriage_return_is_refused(tmp_path):
    for text in ("a,b\n1,x\ry,2\n", 'a,b\n1,x\ry,2\n3,"z"\n'):
        (tmp_path / "a.csv").write_bytes(text.encode())
        with pytest.raises(UnreadableFile, match="ends in a carriage return alone"):
            came(tmp_path, "a.csv", "delimited")
    (tmp_path / "a.csv").write_bytes(b'a,b\n1,"x\ry"\n')
    assert came(tmp_path, "a.csv", "delimited") == [{"a": "1", "b": "x\ry", "_row": 2}]
    (tmp_path / "a.csv").write_bytes(b"a,b\r1,2\r3,4\r")
    assert [r["_row"] for r in came(tmp_path, "a.csv", "delimited")] == [2, 3]


def test_marks_inside_a_cell_and_answers_with_breaks_are_text(tmp_path):
    text = 'a,b\n1,5" pipe\n2,"two\nlines, of text"\n3,"the ""best"""\n'
    (tmp_path / "a.csv").write_text(text)
    assert [r["b"] for r in came(tmp_path, "a.csv", "delimited")] == [
        '5" pipe',
        "two\nlines, of text",
        'the "best"',
    ]


# ---- 7: the same household


@pytest.mark.parametrize(
    "alike",
    [
        "Ｈ１",
        "H１",
        "H1\u200b",
        "\ufeffH1",
        "H\u00ad1",
        "\u3000H1 ",
        "H1\u00a0",
        "𝐇𝟏",
        "H1\ufe0f",
        "H\u20601",
        "H1\u202c",
        "H١",
        "H१",
        "H൧",
    ],
)
def test_ids_that_a_person_reads_as_one_are_one(tmp_path, con, alike):
    text = csv_text([["H1", *ROWS[0][1:]], [alike, *ROWS[0][1:]], ["H2", *ROWS[1][1:]]])
    assert load(tmp_path, text, con).is_accepted
    assert con.execute('SELECT _household_id FROM raw."s__households" ORDER BY 1').fetchall() == [
        ("H1",),
        ("H2",),
    ]
    assert con.execute("SELECT rule FROM quality.quarantine").fetchall() == [("duplicate_row",)]


def written_as(kind, text):
    """A cell of ROWS[0] in another way of writing."""
    return [text if c[3] == kind else v for c, v in zip(COLUMNS, ROWS[0], strict=True)]


@pytest.mark.parametrize(
    ("kind", "text"),
    [("integer", "35.0"), ("number", "1.2005e3"), ("number", "1200.50"), ("date", "2024/3/5")],
)
def test_the_same_answer_is_the_same_in_another_way_of_writing(tmp_path, con, kind, text):
    rows = [ROWS[0], written_as(kind, text), [*ROWS[1]], ["H2", *ROWS[0][1:]]]
    assert load(tmp_path, csv_text(rows), con).is_accepted
    assert con.execute('SELECT _household_id FROM raw."s__households"').fetchall() == [("H1",)]
    assert con.execute('SELECT "row", rule FROM quality.quarantine ORDER BY 1').fetchall() == [
        (3, "duplicate_row"), (4, "duplicate_household"), (5, "duplicate_household"),
    ]  # fmt: skip


def test_dashes_and_inner_blanks_of_an_id_are_one_sign(tmp_path, con):
    text = csv_text([[h, *ROWS[0][1:]] for h in ("A-1 x", "A–1 x", "A\u22121\u3000x", "A-1  x")])
    load(tmp_path, text, con)
    assert con.execute('SELECT _household_id FROM raw."s__households"').fetchall() == [("A-1 x",)]


def test_letters_of_another_alphabet_are_named(tmp_path, con):
    load(tmp_path, csv_text([["H1", *ROWS[0][1:]], ["Н1", *ROWS[0][1:]], ["村1", *ROWS[1][1:]]]), con)
    assert con.execute('SELECT _household_id FROM raw."s__households"').fetchall() == [("村1",)]
    assert con.execute("SELECT DISTINCT rule FROM quality.quarantine").fetchall() == [
        ("lookalike_household",)
    ]


def test_a_missing_id_is_none(tmp_path, con):
    codes = CODES + "no_id,8888,,refused,,\nno_id,9000..9999,,dont_know,,\n"
    columns = (column("households", "编号", "hhid", "text", codes="no_id"), *COLUMNS[1:])
    text = csv_text([[h, *ROWS[0][1:]] for h in ("8888", "9123", "H1")])
    load(tmp_path, text, con, codes=codes, columns=columns)
    assert con.execute('SELECT _household_id FROM raw."s__households"').fetchall() == [("H1",)]
    assert con.execute("SELECT DISTINCT rule FROM quality.quarantine").fetchall() == [
        ("missing_household_id",)
    ]


def test_parts_that_join_to_one_id_are_not_one_household(tmp_path, con):
    columns = (column("households", "村", "village", "text"), *COLUMNS)
    files = [
        {
            "file_id": "households",
            "path": "households.csv",
            "format": "delimited",
            "household_id": ["village", "hhid"],
        }
    ]
    rows = [["a-b", "c", *ROWS[0][1:]], ["a", "b-c", *ROWS[0][1:]], ["a", "d", *ROWS[0][1:]]]
    assert load(tmp_path, csv_text(rows, ["村", *HEADER]), con, columns=columns, files=files).is_accepted
    assert con.execute('SELECT _household_id FROM raw."s__households"').fetchall() == [("a-d",)]
    assert con.execute("SELECT DISTINCT rule FROM quality.quarantine").fetchall() == [
        ("ambiguous_household_id",)
    ]


def test_a_form_sent_twice_is_one_household_with_its_members(tmp_path, con):
    zip_path = tmp_path / "s" / "a.zip"
    files = [
        {"file_id": "h", "path": "a.zip", "format": "odk"},
        {
            "file_id": "m",
            "path": "a.zip",
            "format": "odk",
            "grain": "member",
            "options": {"repeat": "members"},
        },
    ]
    link = [column("m", n, "", why="link") for n in ("_index", "_parent_table_name", "_parent_index")]
    columns = (column("h", "code", "hhid", "text"), column("h", "site", "site", "code", codes="site"),
               column("h", "_id", "", why="number"), column("h", "_index", "", why="number"),
               column("m", "code", "hhid", "text"), column("m", "age", "age", "number"), *link)  # fmt: skip
    folder = write_folder(tmp_path / "s", files=files, columns=columns, codes=SITES)
    zipped(zip_path, **{
        "form.csv": "code,site,_id,_index\nH1,A,101,1\nH1,A,102,2\nH2,B,103,3\n",
        "members.csv": "age,_index,_parent_table_name,_parent_index\n"
        "35,1,form,1\n7,2,form,1\n35,3,form,2\n7,4,form,2\n50,5,form,3\n",
    })  # fmt: skip
    result = ingest(folder, tmp_path / "landing", con)
    assert [(f.received, f.accepted, f.quarantined) for f in result.files] == [(3, 2, 1), (5, 3, 2)]
    assert con.execute('SELECT _household_id, count(*) FROM raw."s__m" GROUP BY 1 ORDER BY 1').fetchall() == [
        ("H1", 2),
        ("H2", 1),
    ]
    rules = con.execute("SELECT DISTINCT file_id, rule FROM quality.quarantine ORDER BY 1").fetchall()
    assert rules == [("h", "duplicate_row"), ("m", "duplicate_submission")]


# ---- 8: declarations


@pytest.mark.parametrize("order", [("agree", "odd"), ("odd", "agree")])
@pytest.mark.parametrize("odd", ["odd,3,,refused,,", "odd,2..4,,refused,,", "odd,同意,,refused,,"])
def test_a_code_cannot_be_an_answer_and_missing(tmp_path, order, odd):
    columns = tuple((*c[:6], " ".join(order), *c[7:]) if c[2] == "satisfied" else c for c in COLUMNS)
    with pytest.raises(
        SurveyFolderError, match=r"(is missing \(refused\), but|is the answer '\d', but) .* keep one"
    ):
        write_folder(tmp_path / "s", columns=columns, codes=CODES + odd + "\n")


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
@pytest.mark.parametrize(
    ("variable", "pair"),
    [
        ("satisfied", ("one,7,1,,,", "two,7,2,,,")),
        ("satisfied", ("one,20..30,1,,,", "two,25..40,2,,,")),
        ("age", ("one,99.0,,refused,,", "two,99,,dont_know,,")),
        ("age", ("one,1e2,,refused,,", "two,100,100,,,")),
        ("age", ("one,-9,,refused,,", "two,-9.00,,blank,,")),
        ("age", ("one,16..20,1,,,", "two,20..30,2,,,")),
    ],
)
def test_a_code_cannot_mean_two_things(tmp_path, order, variable, pair):
    columns = tuple((*c[:6], " ".join(order), *c[7:]) if c[2] == variable else c for c in COLUMNS)
    with pytest.raises(SurveyFolderError, match=r"line \d+: column .* is .*, but .* keep one"):
        write_folder(tmp_path / "s", columns=columns, codes=CODES + "\n".join(pair) + "\n")


def test_ranges_of_measures_may_share_an_end_and_lists_may_agree(tmp_path):
    codes = CODES + "one,0..1.5,1,,,\none,1.5..3,2,,,\none,7,3,,,\ntwo,7,3,,,\n"
    columns = tuple((*c[:6], "one two", *c[7:]) if c[2] == "satisfied" else c for c in COLUMNS)
    assert write_folder(tmp_path / "s", columns=columns, codes=codes).columns


def test_a_range_that_ends_before_it_begins_is_refused(tmp_path):
    with pytest.raises(
        SurveyFolderError, match=r"'100\.\.90' of list missing: the range ends before it begins"
    ):
        write_folder(tmp_path / "s", codes=CODES + "missing,100..90,,refused,,\n")


def test_a_missing_code_may_stand_within_a_range_of_answers(tmp_path):
    codes = CODES + "ages,18..,1,,,\nages,999,,refused,,\n"
    columns = tuple((*c[:6], "ages", *c[7:]) if c[2] == "satisfied" else c for c in COLUMNS)
    assert write_folder(tmp_path / "s", columns=columns, codes=codes).columns


@pytest.mark.parametrize("ranges", ["site,3..9,SITE_A,,,", "round,2..3,after,,,"])
def test_sites_and_rounds_are_no_ranges(tmp_path, ranges):
    columns = (*COLUMNS, column("households", "轮次", "wave", "code", codes="round"))
    files = [
        {
            "file_id": "households",
            "path": "a.csv",
            "format": "delimited",
            "wave": {"column": "wave", "codes": "round"},
        }
    ]
    with pytest.raises(SurveyFolderError, match=r"is a range, but a (site|wave) is named by single codes"):
        write_folder(tmp_path / "s", columns=columns, files=files, codes=CODES + ranges + "\n")


@pytest.mark.parametrize("missing", [[3.0], [{"lo": 3, "hi": 5}]])
def test_a_file_and_the_codes_must_agree_on_what_is_missing(tmp_path, con, missing):
    files = [{"file_id": "households", "path": "a.sav", "format": "spss"}]
    columns = (column("households", "h", "hhid", "text"), column("households", "s", "site", "code", codes="site"),
               column("households", "q", "satisfied", "code", codes="agree"))  # fmt: skip
    folder = write_folder(tmp_path / "s", files=files, columns=columns)
    frame = pd.DataFrame({"h": ["H1"], "s": ["甲"], "q": [1.0]})
    pyreadstat.write_sav(frame, tmp_path / "s" / "a.sav", missing_ranges={"q": missing})
    (problem,) = ingest(folder, tmp_path / "landing", con).problems
    assert "declares 3" in problem.message
    assert "counts '3' as an answer" in problem.message


@pytest.mark.parametrize(
    "options",
    [
        {"header_rows": [0]},
        {"header_rows": [-1]},
        {"header_rows": []},
        {"skip_rows": [0]},
        {"header_rows": [10**9]},
    ],
)
def test_rows_are_counted_from_one(options):
    with pytest.raises(ValidationError):
        declared("a.csv", "delimited", **options)


# ---- 9: refusals


@pytest.mark.parametrize(
    "start",
    [
        *("PK", "PK\tid", "PAR1", "PAR1_name", "%PDF", "<html", "$FL2", "<?xml", "<!doc", "{", "["),
        *("%PDF-1.4 share", "<html> page", "<!doctype x", "$FL2@(#) SPSS", "<stata_dta>x", "<?xml note"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_header_is_no_signature(tmp_path, start, encoding):
    (tmp_path / "a.csv").write_bytes(f"{start},b\n1,好\n".encode(encoding))
    assert came(tmp_path, "a.csv", "delimited", encoding=encoding, delimiter=",") == [
        {start: "1", "b": "好", "_row": 2}
    ]


def sheets(path: Path, *states: str) -> None:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for number, state in enumerate(states):
        if state == "chart":
            workbook.create_chartsheet(f"s{number}")
        else:
            sheet = workbook.create_sheet(f"s{number}")
            sheet.sheet_state = state
            for row in (["h"], [f"from s{number}"]):
                sheet.append(row)
    workbook.active = next((n for n, s in enumerate(states) if s == "visible"), 0)
    workbook.save(path)


@pytest.mark.parametrize(
    "states",
    [
        ("hidden", "visible"),
        ("veryHidden", "visible"),
        ("chart", "visible"),
        ("chart", "hidden", "visible", "visible"),
    ],
)
def test_the_sheet_that_a_person_sees_is_read(tmp_path, states):
    sheets(tmp_path / "a.xlsx", *states)
    first = states.index("visible")
    assert [r["h"] for r in came(tmp_path, "a.xlsx", "excel")] == [f"from s{first}"]
    assert (
        "the sheet is hidden" in read(declared("a.xlsx", "excel", sheet="s1"), tmp_path).notes
        or states[1] == "visible"
    )


def test_signatures_are_still_known(tmp_path):
    pyreadstat.write_sav(pd.DataFrame({"a": [1.0]}), tmp_path / "x.sav")
    pd.DataFrame({"a": [1.0]}).to_stata(tmp_path / "x.dta", version=118)
    pages = {
        "a PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>",
        "a web page": b'<!DOCTYPE html>\n<html lang="en"><head><title>login</title></head>',
        "an XML": b'<?xml version="1.0"?><data/>',
        "an SPSS": (tmp_path / "x.sav").read_bytes(),
        "a Stata": (tmp_path / "x.dta").read_bytes(),
    }
    for told, content in pages.items():
        (tmp_path / "a.csv").write_bytes(content)
        with pytest.raises(UnreadableFile, match=f"but the content is {told}"):
            read(declared("a.csv", "delimited"), tmp_path)


def test_an_empty_sheet_before_the_table_is_passed_over(tmp_path):
    workbook = openpyxl.Workbook()
    sheet = workbook.create_sheet("answers ")
    for row in (["h"], ["H1"]):
        sheet.append(row)
    workbook.save(tmp_path / "a.xlsx")
    assert came(tmp_path, "a.xlsx", "excel") == [{"h": "H1", "_row": 2}]
    # a declaration has no blanks at its ends
    assert read(declared("a.xlsx", "excel", sheet="answers "), tmp_path).table.num_rows == 1


@pytest.mark.parametrize("kind", ["select1 yn", "Select_One yn", "SELECT ONE yn", "select_one yn or_other"])
@pytest.mark.parametrize("names", [("survey", "choices"), ("Survey ", " CHOICES")])
def test_kinds_and_sheets_of_a_form_in_any_spelling(tmp_path, kind, names):
    content = io.BytesIO()
    with pd.ExcelWriter(content, engine="openpyxl") as writer:
        pd.DataFrame([[kind, "q", "Q"]], columns=["type", "name", "label"]).to_excel(
            writer, sheet_name=names[0], index=False
        )
        pd.DataFrame([["yn", "1", "Yes"]], columns=["list_name", "name", "label"]).to_excel(
            writer, sheet_name=names[1], index=False
        )
    zipped(tmp_path / "a.zip", **{"f.csv": "q,_uuid\n1,u\n", "form.xlsx": content.getvalue()})
    (entry, _) = read(declared("a.zip", "odk"), tmp_path).codebook.to_pylist()
    assert json.loads(entry["value_labels"])["1"] == "Yes"


def test_hidden_rows_are_read_and_named(tmp_path):
    workbook = openpyxl.Workbook()
    for row in (["h"], ["H1"], ["H2"]):
        workbook.active.append(row)
    workbook.active.row_dimensions[3].hidden = True
    workbook.save(tmp_path / "a.xlsx")
    result = read(declared("a.xlsx", "excel"), tmp_path)
    assert result.table.num_rows == 2
    assert any("hidden row(s) 3" in n for n in result.notes)


@pytest.mark.parametrize(
    ("members", "kind"), [("f.csv form.xlsx", "odk"), ("f.csv", "delimited"), ("f.csv m.csv", "odk")]
)
def test_an_archive_with_its_form_is_an_export_of_it(tmp_path, members, kind):
    content = {"form.xlsx": form([["select_one yn", "q", "Q"]], YES_NO)}
    zipped(tmp_path / "a.zip", **{n: content.get(n, "q,_uuid\n1,u\n") for n in members.split()})
    assert file_format(tmp_path / "a.zip") == kind


# ---- what stops a reader, or leads it astray


def far_cell(path: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.active.append(["h", "v"])
    workbook.active["XFD1048576"] = 1
    workbook.save(path)


def many_rows(path: Path) -> None:
    pq.write_table(pa.table({"a": pa.nulls(10_000_000, pa.int8())}), path)
    table = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array(np.zeros(90_000_000, np.int8)), ["x"])})
    pq.write_table(table, path)


def much_text(path: Path) -> None:
    table = pa.table({"a": pa.DictionaryArray.from_arrays(pa.array(np.zeros(2000, np.int32)), ["x" * 2**20])})
    pq.write_table(table, path)


def many_tables(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20_000):
            archive.writestr(f"t{number}.csv", "a\n1\n")


@pytest.mark.parametrize(
    ("path", "kind", "write", "says"),
    [
        ("a.xlsx", "excel", far_cell, "row 1,048,576 and column 16,384 .* lies far outside"),
        ("a.parquet", "parquet", many_rows, "says that it holds 90,000,000 rows"),
        ("a.parquet", "parquet", much_text, "memory"),
        ("a.zip", "odk", many_tables, "more than 500 tables"),
        ("a.json", "odk", lambda p: p.write_text('[{"a": "\\ud800"}]'), "half a character"),
        ("a.json", "odk", lambda p: p.write_text("[" * 10**6), "no readable JSON"),
    ],
)
def test_a_file_cannot_stop_its_reader(tmp_path, path, kind, write, says):
    write(tmp_path / path)
    with pytest.raises(UnreadableFile, match=says):
        read(declared(path, kind), tmp_path)


def test_what_is_long_is_no_reason_to_refuse(tmp_path):
    (tmp_path / "a.csv").write_text("a,b\n" + "x" * 200_000 + ',"' + "y" * 200_000 + '"\n')
    (tmp_path / "a.json").write_text('[{"n": ' + "9" * 6000 + ', "f": 1e400, "g": 35.0}]')
    assert [len(v) for v in (came(tmp_path, "a.csv", "delimited")[0][c] for c in "ab")] == [200_000, 200_000]
    assert came(tmp_path, "a.json", "odk") == [{"n": "9" * 6000, "f": "1e400", "g": "35", "_row": 1}]


def test_a_reader_that_dies_or_stands_still_is_a_refusal(tmp_path, monkeypatch):
    from relocation_warehouse.survey.readers import isolation

    monkeypatch.setattr(isolation, "SECONDS", 1)
    (tmp_path / "a.csv").write_text("a,b\n" + '"x\n",1\n' * 3_000_000)
    monkeypatch.setattr(isolation, "SECONDS_OF_A_MEGABYTE", 0)
    with pytest.raises(UnreadableFile, match="takes more than 1 seconds to read"):
        read(declared("a.csv", "delimited"), tmp_path)
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    assert read(declared("a.csv", "delimited"), tmp_path).table.num_rows == 1


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    (tmp_path / "s").mkdir()
    os.symlink(tmp_path / "secret.csv", tmp_path / "s" / "a.csv")
    with pytest.raises(UnreadableFile, match="leads out of its folder"):
        read(declared("a.csv", "delimited"), tmp_path / "s")
    (tmp_path / "s" / "b.csv").write_text("a,b\n1,2\n")
    os.unlink(tmp_path / "s" / "a.csv")
    os.symlink("b.csv", tmp_path / "s" / "a.csv")
    assert read(declared("a.csv", "delimited"), tmp_path / "s").table.num_rows == 1


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: &a [*a]\n",
        "[" * 100_000,
        "x: " + "9" * 6000,
        "a: !!python/object:os.system x",
        "\0",
        "files: *x",
    ],
)
def test_a_survey_yml_cannot_stop_the_check(tmp_path, text):
    write_folder(tmp_path / "s")
    (tmp_path / "s" / "survey.yml").write_text(text)
    with pytest.raises(SurveyFolderError, match=r"survey\.yml"):
        load_folder(tmp_path / "s")


@pytest.mark.parametrize(
    "name", ["columns.csv", "codes.csv", "crosswalk.csv", "corrections.csv", "survey.yml"]
)
def test_a_folder_in_place_of_a_declaration(tmp_path, name):
    write_folder(tmp_path / "s")
    (tmp_path / "s" / name).unlink()
    (tmp_path / "s" / name).mkdir()
    with pytest.raises(SurveyFolderError, match=re.escape(name)):
        load_folder(tmp_path / "s")


def test_a_day_is_no_time(tmp_path):
    frame = pd.DataFrame({"d": [dt.date(2024, 3, 5), None], "x": [1.0, 2.0]})
    pyreadstat.write_sav(frame, tmp_path / "a.sav")
    assert [r["d"] for r in came(tmp_path, "a.sav", "spss")] == ["2024-03-05", None]

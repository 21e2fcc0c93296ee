"""Damage survey folders and the files in them, and ask `warehouse check`: each ends in an answer, nothing else changes.

Run by `make campaign-fuzz`; the suite runs a small share. An input is a whole survey, in one of the formats, in which
one file was cut, or had bytes changed, put in, taken out, doubled or set to zero.
"""

import argparse
import collections
import gzip
import hashlib
import io
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import typer
from rich.console import Console
from small_survey import write_folder

from relocation_warehouse.command import survey_commands
from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.survey.catalog import load_catalog

SECONDS, BYTES = 30, 2 * 2**30
"""Longest answer on a machine of one's own, and most memory that is allowed."""

NAMES = ["c0", "c1", "c2", "c3"]
FRAME = pd.DataFrame(
    {
        "c0": [f"H{i}" for i in range(60)],
        "c1": ["A", "B"] * 30,
        "c2": [float(1 + i % 9) for i in range(60)],
        "c3": ["land work", "东山村", 'the "best", or not', ""] * 15,
    }
)
ASCII = FRAME.assign(c3="x")
XLS = ("编号", "面积", "日期")
CODES = """list,code,value,missing_reason,label_en,label_zh
site,A,SITE_A,,A,A
site,B,SITE_B,,B,B
missing,99,,refused,,
"""


def written(save: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "file"
        save(path)
        return path.read_bytes()


def zipped(**members: bytes | str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def workbook(frames: dict[str, pd.DataFrame]) -> bytes:
    out = io.BytesIO()
    with pd.ExcelWriter(out, engine="openpyxl") as writer:
        for name, frame in frames.items():
            frame.to_excel(writer, sheet_name=name, index=False)
    return out.getvalue()


def bases() -> dict[str, tuple[str, bytes]]:
    """Format and content of each kind of file that is damaged."""
    text = FRAME.to_csv(index=False)
    records = [{k: v for k, v in row.items() if v} for row in FRAME.to_dict("records")]
    repeats = FRAME.assign(_index=range(1, len(FRAME) + 1)).astype(str)
    links = {"_index": ["1", "2"], "_parent_table_name": ["form"] * 2, "_parent_index": ["1", "3"]}
    members = pd.DataFrame({"name": ["a", "b"], **links})
    form = workbook({
        "survey": pd.DataFrame([["select_one a", "c1", "Q"]], columns=["type", "name", "label"]),
        "choices": pd.DataFrame([["a", "1", "Yes"]], columns=["list_name", "name", "label"]),
    })  # fmt: skip
    tables = {"form.csv": repeats.to_csv(index=False), "members.csv": members.to_csv(index=False)}
    frame = FRAME

    def ods(path: Path) -> None:
        frame.to_excel(path.with_suffix(".ods"), engine="odf", index=False)
        path.with_suffix(".ods").rename(path)

    def stata(version: int) -> Callable[[Path], object]:
        text = frame.c3 if version >= 118 else frame.c3.map(lambda v: v.encode("gb18030").decode("latin-1"))
        return lambda path: frame.assign(c3=text).to_stata(path, version=version, write_index=False)

    return {
        "csv": ("delimited", text.encode()),
        "csv.gb18030": ("delimited", text.encode("gb18030")),
        "csv.utf16": ("delimited", text.encode("utf-16")),
        "csv.gz": ("delimited", gzip.compress(text.encode())),
        "csv.zip": ("delimited", zipped(**{"a.csv": text})),
        "xlsx": ("excel", workbook({"S": frame})),
        "ods": ("excel", written(ods)),
        "xls": ("excel", (Path(__file__).parents[1] / "fixtures" / "households.xls").read_bytes()),
        "sav": ("spss", written(lambda p: pyreadstat.write_sav(frame, p, missing_ranges={}))),
        "zsav": ("spss", written(lambda p: pyreadstat.write_sav(frame, p, row_compress=True))),
        "por": ("spss", written(lambda p: pyreadstat.write_por(ASCII.rename(columns=str.upper), p))),
        **{f"dta{v}": ("stata", written(stata(v))) for v in (114, 117, 118, 119)},
        "json": ("odk", json.dumps(records, ensure_ascii=False).encode()),
        "odk.zip": ("odk", zipped(**tables, **{"form.xlsx": form})),
        "odk.xlsx": ("odk", workbook({"form": repeats, "members": members})),
        "parquet": ("parquet", written(lambda p: pq.write_table(pa.Table.from_pandas(frame), p))),
    }  # fmt: skip


def damaged(rng: np.random.Generator, content: bytes) -> bytes:
    """A content after one to four accidents."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, max(len(data), 1)))
        length = int(min(len(data) - at, 2 ** rng.integers(0, 8)))
        some = rng.integers(0, 256, size=length, dtype=np.uint8).tobytes()
        kind = rng.integers(8)
        if kind == 0:
            del data[at:]
        elif kind == 1:
            data[at : at + length] = some
        elif kind == 2:
            data[at:at] = some
        elif kind == 3:
            del data[at : at + length]
        elif kind == 4:
            data[at:at] = data[at : at + length]
        elif kind == 5:
            data[at : at + length] = bytes(length)
        elif kind == 6 and data:
            data[min(at, len(data) - 1)] ^= 1 << int(rng.integers(8))
        else:
            data[at:at] = str(
                rng.choice(['"', "\n", "&a [*a]", "1e400", "..", "[" * 200, "\ud7ff", ",,,", "-9" * 50])
            ).encode()
    return bytes(data)


def folder_of(data: Path, kind: str, format_: str, content: bytes) -> Path:
    """A survey folder with one file of a format, which `check` accepts."""
    headers = list(XLS) if kind == "xls" else [n.upper() if kind == "por" else n for n in NAMES]
    headers += ["_index"] if kind.startswith("odk") else []
    uses = [("hhid", "text", "", ""), ("site", "code", "", "site"), ("size", "integer", "1", "missing")]
    columns = tuple(
        ("households", header, *uses[i][:3], "", uses[i][3], "false", "")
        if i < len(uses)
        else ("households", header, "", "", "", "", "", "false", "not used")
        for i, header in enumerate(headers)
    )
    options = {"encoding": "gb18030"} if kind in ("dta114", "dta117") else {}
    record = {"file_id": "households", "path": "a.data", "format": format_, "options": options}
    path = data / "surveys" / "s"
    write_folder(path, files=[record], columns=columns, codes=CODES)
    (path / "a.data").write_bytes(content)
    (path / "crosswalk.csv").write_text(
        "wave,indicator_id,rule,sources,status,evidence\n*,household_size,direct,size,identical,q\n",
        encoding="utf-8",
    )
    return path


def digest(folder: Path) -> str:
    result = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        result.update(str(path).encode() + (path.read_bytes() if path.is_file() else b""))
    return result.hexdigest()


def checked() -> tuple[int | None, str]:
    """Exit status of `warehouse check`, and what it says; None and the traceback where it does not end so."""
    survey_commands.out = Console(file=io.StringIO(), width=200)
    try:
        survey_commands.check("s")
    except typer.Exit as stop:
        return stop.exit_code, survey_commands.out.file.getvalue()
    except BaseException:
        return None, traceback.format_exc()
    return None, "check did not end"


def run(inputs: int, seed: int) -> tuple[collections.Counter[str], list[str]]:
    """Damage, check and judge; counts, and what must not happen."""
    counts: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    kinds = bases()
    catalog = load_catalog(CHECKOUT / "data" / "catalog")
    kept = survey_commands._catalog, survey_commands.out, os.environ.get("WAREHOUSE_DATA")
    slowest = 0.0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        data = Path(scratch)
        (data / "published").mkdir()
        (data / "published" / "warehouse.duckdb").write_bytes(b"published")
        (data / "catalog").symlink_to(CHECKOUT / "data" / "catalog")
        os.environ["WAREHOUSE_DATA"] = str(data)
        before = digest(data / "published")
        survey_commands._catalog = lambda paths: catalog
        try:
            for kind, (format_, content) in kinds.items():
                path = folder_of(data, kind, format_, content)
                shutil.copytree(path, data / "whole" / kind)
                status, told = checked()
                if status != (1 if kind == "xls" else 0):  # the fixture holds no sites
                    faults.append(f"{kind}, undamaged: status {status}, {told}")
                shutil.rmtree(path)
            for number in range(inputs):
                rng = np.random.default_rng([seed, number])
                kind = list(kinds)[number % len(kinds)]
                path = data / "surveys" / "s"
                shutil.copytree(data / "whole" / kind, path)
                name = str(
                    rng.choice(
                        [
                            "a.data",
                            "a.data",
                            "a.data",
                            "survey.yml",
                            "columns.csv",
                            "codes.csv",
                            "crosswalk.csv",
                        ]
                    )
                )
                (path / name).write_bytes(damaged(rng, (path / name).read_bytes()))
                start = time.perf_counter()
                status, told = checked()
                if status is None:
                    faults.append(f"{kind}, {name}, input {number} of seed {seed}: {told[-600:]}")
                slowest = max(slowest, taken := time.perf_counter() - start)
                if taken > SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)):
                    faults.append(f"{kind}, {name}, input {number} of seed {seed}: took {taken:.0f} s")
                if status is not None and (status not in (0, 1) or not told.strip() or "Traceback" in told):
                    faults.append(f"{kind}, {name}, input {number} of seed {seed}: status {status}, {told!r}")
                counts[f"{kind}: {'accepted' if status == 0 else 'refused'}"] += 1
                shutil.rmtree(path)
                if number % 100 == 99:
                    print(f"{number + 1} inputs, {len(faults)} fault(s)", flush=True)
        finally:
            survey_commands._catalog, survey_commands.out = kept[:2]
            if kept[2] is None:
                del os.environ["WAREHOUSE_DATA"]
            else:
                os.environ["WAREHOUSE_DATA"] = kept[2]
        if digest(data / "published") != before:
            faults.append("what is published changed")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if peak > BYTES:
        faults.append(f"took {peak / 2**30:.1f} GiB")
    print(f"slowest {slowest:.1f} s, peak {peak / 2**20:.0f} MiB")
    return counts, faults


def main() -> int:
    """Run a campaign."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    counts, faults = run(arguments.inputs, arguments.seed)
    print(*(f"{name} {count}" for name, count in sorted(counts.items())), sep="\n")
    print(f"{len(faults)} fault(s)", *faults[:40], sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())

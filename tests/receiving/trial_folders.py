"""Survey folders of the checkout as plain CSV files, so that a test can change any cell of them."""

import csv
import shutil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.survey.folder import TABLES, load_folder
from relocation_warehouse.survey.readers import ROW, read

SURVEYS = CHECKOUT / "data" / "surveys"


def survey_ids() -> list[str]:
    return sorted(p.parent.name for p in SURVEYS.glob("*/survey.yml"))


class Folder:
    """A survey folder that may be changed: its declarations as data, its answers as rows of text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.survey: dict[str, Any] = YAML(typ="safe").load((path / "survey.yml").read_text("utf-8"))
        self.tables = {name: _rows(path / name) for name in TABLES}
        self.files = {f["file_id"]: _rows(path / f["path"]) for f in self.survey["files"]}

    def save(self, path: Path) -> "Folder":
        """Write it elsewhere, under the id that its new folder gives it."""
        path.mkdir(parents=True, exist_ok=True)
        self.path, self.survey["survey_id"] = path, path.name
        with (path / "survey.yml").open("w", encoding="utf-8") as handle:
            YAML(typ="safe", pure=True).dump(self.survey, handle)
        for name, rows in self.tables.items():
            _write(path / name, rows)
        for file in self.survey["files"]:
            _write(path / file["path"], self.files[file["file_id"]])
        return self

    def column(self, variable: str, file_id: str | None = None) -> tuple[str, int]:
        """File and position in it of a variable."""
        header = self.tables["columns.csv"][0]
        for row in self.tables["columns.csv"][1:]:
            by_key = dict(zip(header, row, strict=True))
            if by_key["variable"] == variable and file_id in (None, by_key["file_id"]):
                return by_key["file_id"], self.files[by_key["file_id"]][0].index(by_key["column"])
        raise KeyError(variable)

    def change(self, table: str, where: dict[str, str], **cells: str) -> int:
        """Change the first row of a table that fits; gives its line."""
        header, *rows = self.tables[table]
        for line, row in enumerate(rows, start=2):
            by_key = dict(zip(header, row, strict=True))
            if all(by_key[k] == v for k, v in where.items()):
                row[:] = [cells.get(k, v) for k, v in by_key.items()]
                return line
        raise KeyError(where)


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.reader(handle))


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle, lineterminator="\n").writerows(rows)


def plain(survey_id: str, target: Path) -> Folder:
    """Write a shipped survey as CSV files, one for each of its tables, and open it."""
    source = SURVEYS / survey_id
    folder = load_folder(source)
    target.mkdir(parents=True)
    survey = YAML(typ="safe").load((source / "survey.yml").read_text("utf-8"))
    for entry, file in zip(survey["files"], folder.survey.files, strict=True):
        table = read(file, source).table
        headers = [n for n in table.column_names if n != ROW]
        declared = {c.column for c in folder.columns_of(file.file_id)}
        kept = [h for h in headers if h in declared]
        cells = [["" if v is None else _text(v) for v in table[h].to_pylist()] for h in kept]
        entry |= {"path": f"{file.file_id}.csv", "format": "delimited", "options": {"encoding": "utf-8"}}
        entry.pop("sha256", None)
        _write(target / entry["path"], [kept, *map(list, zip(*cells, strict=True))])
    survey["survey_id"] = target.name
    with (target / "survey.yml").open("w", encoding="utf-8") as handle:
        YAML(typ="safe", pure=True).dump(survey, handle)
    for name in TABLES:
        shutil.copy(source / name, target / name)
    return Folder(target)


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

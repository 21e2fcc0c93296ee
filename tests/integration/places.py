"""A warehouse of a test's own, its surveys, and the command line on it."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb
from ruamel.yaml import YAML

from relocation_warehouse.ground.paths import CHECKOUT

WAREHOUSE = Path(sys.executable).with_name("warehouse")


@dataclass(frozen=True)
class Place:
    """A warehouse of its own that a test may change as it likes."""

    data: Path

    def run(self, *arguments):
        return subprocess.run(
            [WAREHOUSE, *arguments],
            cwd=CHECKOUT,
            env=os.environ | {"WAREHOUSE_DATA": str(self.data), "COLUMNS": "200", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    def survey(self, survey_id):
        return YAML(typ="safe").load((self.data / "surveys" / survey_id / "survey.yml").read_text("utf-8"))

    def folder(self, survey_id):
        return self.data / "surveys" / survey_id

    def first_file(self, survey_id):
        return self.folder(survey_id) / self.survey(survey_id)["files"][0]["path"]

    def query(self, sql):
        with duckdb.connect(str(self.data / "published" / "warehouse.duckdb"), read_only=True) as con:
            return con.execute(sql).fetchall()

    def build(self, sql):
        with duckdb.connect(str(self.data / "warehouse" / "build.duckdb")) as con:
            con.execute(sql)

    def version(self):
        return (self.data / "published" / ".current").resolve().name

    def files(self):
        """Every published file with the sha256 of its bytes."""
        return {
            p.relative_to(self.data).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in (self.data / "published" / ".current").resolve().rglob("*")
            if p.is_file()
        }

    def checksums(self):
        tables = json.loads((self.data / "published" / "manifest.json").read_text("utf-8"))["tables"]
        return {name: table["content_checksum"] for name, table in tables.items()}

    def rows_of(self, survey_id, table="harmonized.households"):
        return self.query(f"SELECT * FROM {table} WHERE survey_id = '{survey_id}' ORDER BY ALL")


@dataclass
class Answers:
    """The rows of a delimited survey file, to be changed and written back."""

    path: Path
    encoding: str
    rows: list[list[str]]

    @classmethod
    def read(cls, place, survey_id):
        options = place.survey(survey_id)["files"][0]["options"]
        path = place.first_file(survey_id)
        with path.open(encoding=options["encoding"], newline="") as handle:
            return cls(path, options["encoding"], list(csv.reader(handle)))

    def write(self, path=None):
        with (path or self.path).open("w", encoding=self.encoding, newline="") as handle:
            csv.writer(handle, lineterminator="\r\n").writerows(self.rows)


def declared(place, survey_id):
    """Rows of columns.csv."""
    with (place.folder(survey_id) / "columns.csv").open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))

"""One refresh of real and new surveys: two real ones, two new ones that are made up, and with `--long` the shipped ones
said to be real.

A refresh costs a minute whatever is in it, so all that is asserted of a whole warehouse of real and new surveys is
asserted of this one; the files of this folder run in one worker.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from folders import add_rice, add_vietnam
from new_surveys import add_kobo_survey, add_stata_survey

from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.publication.pseudonyms import KEY_VARIABLE
from relocation_warehouse.survey.catalog import Catalog, load_catalog
from relocation_warehouse.survey.scaffold_columns import Recognition

KEY = "c41f7a90e2b85d3396fa07e1d8264bc5f3907a1ed25c68b4"
SHIPPED = tuple(sorted(p.parent.name for p in (CHECKOUT / "data" / "surveys").glob("*/survey.yml")))


@dataclass(frozen=True)
class RealWarehouse:
    """A refreshed `data/` folder.

    Attributes
    ----------
    edits
        How many edits each real survey took.
    said_to_be_real
        Shipped surveys that are marked as real in it.
    seconds
        How long the refresh took.
    """

    data: Path
    edits: dict[str, int]
    said_to_be_real: tuple[str, ...]
    seconds: float

    @property
    def published(self) -> Path:
        return self.data / "published" / "warehouse.duckdb"

    @property
    def public(self) -> Path:
        return self.data / "published" / "public" / "warehouse.duckdb"

    @property
    def build(self) -> Path:
        return Paths.under(self.data).build_database


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog(CHECKOUT / "data" / "catalog")


@pytest.fixture(scope="session")
def known() -> Recognition:
    return Recognition.load(CHECKOUT / "data" / "catalog")


def say_real(folder: Path) -> None:
    """Mark a shipped survey as real, and change nothing else."""
    text = (folder / "survey.yml").read_text(encoding="utf-8")
    assert text.count("is_synthetic: true") == 1
    (folder / "survey.yml").write_text(
        text.replace("is_synthetic: true", "is_synthetic: false"), encoding="utf-8"
    )


@pytest.fixture(scope="session")
def warehouse(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    catalog: Catalog,
    known: Recognition,
) -> RealWarehouse:
    """From the files to what is published, by the commands and with a key.

    `WAREHOUSE_REAL` names the folder of an earlier run, which saves minutes.
    """
    if given := os.environ.get("WAREHOUSE_REAL"):
        return RealWarehouse(
            Path(given).resolve() / "data", **json.loads((Path(given) / "figures.json").read_text())
        )
    data = tmp_path_factory.mktemp("real") / "data"
    shipped = SHIPPED if request.config.getoption("--long") else ()
    edits = declare(data, catalog, known, shipped)
    start = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("warehouse"), "refresh"],
        cwd=CHECKOUT,
        env=os.environ | {"WAREHOUSE_DATA": str(data), KEY_VARIABLE: KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    made = RealWarehouse(data, edits, shipped, time.monotonic() - start)
    (data.parent / "figures.json").write_text(
        json.dumps({name: of for name, of in vars(made).items() if name != "data"})
    )
    return made


def declare(data: Path, catalog: Catalog, known: Recognition, shipped: tuple[str, ...]) -> dict[str, int]:
    """Make the survey folders; gives the edits that the two real ones took."""
    surveys, scratch = data / "surveys", data.parent / "files"
    surveys.mkdir(parents=True)
    scratch.mkdir()
    for name in ("catalog", "literature"):
        (data / name).symlink_to(CHECKOUT / "data" / name)
    made = {add.__name__: add(surveys, scratch, catalog, known) for add in (add_vietnam, add_rice)}
    for name in shipped:
        shutil.copytree(CHECKOUT / "data" / "surveys" / name, surveys / name)
        say_real(surveys / name)
    add_stata_survey(surveys, catalog)
    add_kobo_survey(surveys, catalog)
    return {edits.path.name: edits.made for edits in made.values()}

"""Put the dbt project of a warehouse together: the committed models, and those written from its surveys and catalog.

A survey has one model for each wave, which selects from its raw tables; `household_waves` unites them. The catalog
becomes macros, because models loop over indicators while their SQL is written. All of it stands under the data
folder, so that `dbt docs` shows the way from a raw column to a capital and nothing is created behind dbt's back.

Belongs here: which files the project has and what is in them. Does not belong here: the SQL of a rule
(`survey.crosswalk`), the words of the contract (`models.description`), running dbt (`models.run`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from relocation_warehouse.contract.tables import contract_of
from relocation_warehouse.ground.engine import DUCKDB, engine_name
from relocation_warehouse.ground.kept import Kept, code_of, digest_of
from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.ground.state import sha256_of
from relocation_warehouse.ground.turn import turn
from relocation_warehouse.models.description import (
    describe_committed,
    describe_exposures,
    describe_macros,
    describe_survey,
    plain,
)
from relocation_warehouse.survey.catalog import Catalog, load_catalog
from relocation_warehouse.survey.crosswalk import (
    DESIGN_COLUMNS,
    KEY_COLUMNS,
    StoredWave,
    compile_stored,
    compile_wave,
)
from relocation_warehouse.survey.documents import read_yaml
from relocation_warehouse.survey.folder import SurveyFolder, list_survey_folders, load_folder
from relocation_warehouse.survey.vocabulary import MissingReason

CODE = code_of("relocation_warehouse.models.project")
"""Digest of the code that writes the models."""
LINKED = ("dbt_project.yml", "macros", "models", "tests")
"""What of `dbt/` the project has as it is."""
MODELS, MACROS = Path("generated/models"), Path("generated/macros")
HOUSEHOLD_WAVES = "household_waves"
NUMBERED = {
    "wave_order": "integer", "weight": "double", "population_units": "bigint", "unit_households": "bigint",
    "is_synthetic": "boolean", "source_row": "bigint",
}  # fmt: skip
"""Type of the columns of a household that are no text."""
LOG = logging.getLogger(__name__)
_TEXTS: dict[str, tuple[dict[Path, str], dict[str, tuple[str, ...]]]] = {}
"""Generated files and models by the digest of what they are written from: a refresh asks for them several times."""
RECORD = "written.json"
"""File of a project that holds the digest of every generated file as it was written."""
WRITTEN = (
    "{#- Written from the survey folders and the catalog by relocation_warehouse/models/project.py; "
    "a change here is overwritten. -#}\n"
)


@dataclass(frozen=True)
class Project:
    """The dbt project of one warehouse for one engine.

    Attributes
    ----------
    folder, target
        Where it stands, and where dbt writes what it makes of it.
    waves
        Names of the models of each survey, one a wave, in order of time.
    digest
        sha256 over all that dbt reads of it.
    """

    folder: Path
    target: Path
    waves: Mapping[str, tuple[str, ...]]
    digest: str


def project_folder(paths: Paths) -> Path:
    """Where the project of a warehouse stands, for the engine in use."""
    return paths.warehouse / "dbt" / engine_name()


def assemble(paths: Paths) -> Project:
    """Write the project of the surveys that were accepted, and remove what is no part of it.

    Only files whose content changes are written, so that dbt parses only these again; a file that somebody edited by
    hand, or that was cut off, is written again, and a warning names it.
    """
    with writing(paths):
        return _assembled(paths)


@contextmanager
def writing(paths: Paths) -> Iterator[None]:
    """Be the only process that writes the project and what dbt makes of it; a server and a refresh both do."""
    folder = project_folder(paths)
    folder.mkdir(parents=True, exist_ok=True)
    with turn(folder / "lock"):
        yield


def _assembled(paths: Paths) -> Project:
    engine = engine_name()
    read = [p for root in (paths.accepted, paths.catalog, paths.dbt) for p in root.rglob("*") if p.is_file()]
    made_from = digest_of(engine, {repr(p): sha256_of(p) for p in read})
    if made_from not in _TEXTS:
        _TEXTS.clear()
        _TEXTS[made_from] = _texts(paths, engine)
    files, waves = _TEXTS[made_from]
    folder = project_folder(paths)
    for name in LINKED:
        _link(folder / name, paths.dbt / name)
    for message in _write(folder, files):
        LOG.warning("%s", message)
    return Project(folder, folder / "target", waves, _digest(paths.dbt, files))


def _texts(paths: Paths, engine: str) -> tuple[dict[Path, str], dict[str, tuple[str, ...]]]:
    """Text of every generated file, and the names of the models of each survey."""
    catalog, kept = load_catalog(paths.catalog), Kept.of(paths)
    known = [i.id for i in catalog.indicators]
    folders = [load_folder(p, known) for p in list_survey_folders(paths.accepted)]
    models = {f.survey_id: _kept_models(f, catalog, engine, kept) for f in folders}
    contract = contract_of(paths)
    exposures = read_yaml(paths.catalog / "exposures.yml")["exposures"]
    every = [wave for waves in models.values() for wave in waves]
    columns = {w.name: w.columns for w in every}
    files = {
        MACROS / "catalog.sql": catalog_macros(catalog, contract.group("household")),
        MACROS / "catalog.yml": describe_macros(MACRO_WORDS),
        MODELS / "contract.yml": describe_committed(contract, _committed(paths.dbt)),
        MODELS / "exposures.yml": describe_exposures(exposures, CHECKOUT, contract),
        MODELS / "staging" / f"{HOUSEHOLD_WAVES}.sql": household_waves(every, catalog, engine),
        # a file each: of a survey that changes, dbt parses the columns of that survey again
        **{
            MODELS / "staging" / f.survey_id / "survey.yml": describe_survey(f, catalog, contract, columns)
            for f in folders
        },
        **{
            MODELS / "staging" / survey_id / f"{wave.name}.sql": wave.text
            for survey_id, waves in models.items()
            for wave in waves
        },
    }
    waves = {survey_id: tuple(wave.name for wave in of_survey) for survey_id, of_survey in models.items()}
    return files, waves


@dataclass(frozen=True)
class WaveModel:
    """The model of one wave of a survey.

    Attributes
    ----------
    name
        Of the model.
    text
        Its file.
    shown
        SELECT over it that gives every column of a household.
    columns
        Columns that it has itself; None means all.
    """

    name: str
    text: str
    shown: str
    columns: tuple[str, ...] | None


def _kept_models(folder: SurveyFolder, catalog: Catalog, engine: str, kept: Kept) -> tuple[WaveModel, ...]:
    """The models of a survey, compiled once from the same declarations and catalog."""
    declared = {p.name: sha256_of(p) for p in sorted(folder.path.iterdir()) if p.is_file()}

    def compiled() -> dict[str, bytes]:
        return {"models.json": json.dumps([asdict(m) for m in wave_models(folder, catalog, engine)]).encode()}

    content = kept.made("models", digest_of(CODE, engine, catalog.model_dump_json(), declared), compiled)
    return tuple(
        WaveModel(**m | {"columns": None if m["columns"] is None else tuple(m["columns"])})
        for m in json.loads(content["models.json"])
    )


def wave_models(folder: SurveyFolder, catalog: Catalog, engine: str) -> tuple[WaveModel, ...]:
    """One model for each wave of a survey, in order of time."""
    models = []
    for wave in sorted(folder.survey.waves, key=lambda w: w.order):
        name = f"{folder.survey_id}__{wave.wave}"
        ref = f"{{{{ ref('{name}') }}}}"
        if engine == DUCKDB:
            parts = compile_stored(folder, wave.wave, catalog)
            kind, query, shown, columns = "table", parts.stored, _shown(parts, ref), parts.columns
        else:
            # its tables are written whole, so the wave is a part of the one table of all waves
            kind, query = "ephemeral", compile_wave(folder, wave.wave, catalog, engine)
            shown, columns = f"select * from {ref}", None
        text = f"{WRITTEN}{_config(kind)}{_with_sources(plain(query), folder)}\n"
        models.append(WaveModel(name, text, shown, columns))
    return tuple(models)


def household_waves(waves: Iterable[WaveModel], catalog: Catalog, engine: str) -> str:
    """The model that unites all waves."""
    united = "\n\nunion all\n\n".join(wave.shown for wave in waves) or _no_households(catalog)
    return f"{WRITTEN}{_config('view' if engine == DUCKDB else 'table')}{united}\n"


def _config(kind: str) -> str:
    return f"{{{{ config(materialized='{kind}') }}}}\n\n"


def _shown(parts: StoredWave, ref: str) -> str:
    table = f'"staging"."{parts.table}"'
    return plain(parts.shown).replace(f"FROM {table}", f"FROM {ref}")


def _no_households(catalog: Catalog) -> str:
    """The columns of all households before any survey was accepted."""
    kinds = dict.fromkeys(KEY_COLUMNS, "varchar") | NUMBERED
    for i in catalog.indicators:
        kinds |= {i.id: "double" if i.is_numeric else "varchar", f"{i.id}__missing": "varchar"}
    columns = ",\n    ".join(f'cast(null as {kind}) as "{name}"' for name, kind in kinds.items())
    return f"select\n    {columns}\nwhere false"


def _with_sources(query: str, folder: SurveyFolder) -> str:
    """The same query with the raw tables named as sources, which is what dbt draws its lineage from."""
    for file in folder.survey.files:
        name = f"{folder.survey_id}__{file.file_id}"
        for raw in (f'"raw"."{name}"', f"raw.`{name}`", f"`raw`.`{name}`"):
            query = query.replace(raw, f"{{{{ source('raw', '{name}') }}}}")
    return query


def catalog_macros(catalog: Catalog, keys: Iterable[str]) -> str:
    """The catalog as macros that give lists for loops."""
    indicators = [
        {
            "indicator_id": i.id, "system": i.system, "dimension": i.dimension, "type": str(i.type),
            "unit": i.unit, "direction": str(i.direction), "minimum": i.minimum, "maximum": i.maximum,
        }
        for i in catalog.indicators
    ]  # fmt: skip
    scheme = catalog.default_weight_scheme
    members = [
        {
            "scheme": scheme.id, "bounds": str(scheme.bounds), "dimension": dimension, "indicator_id": i,
            "direction": str(catalog.indicator[i].direction), "weight": weight,
            "dimension_weight": scheme.dimension_weights.get(dimension),
        }
        for dimension in scheme.dimensions
        for i, weight in scheme.weights(dimension).items()
    ]  # fmt: skip
    given = {
        "catalog_indicators": indicators,
        "default_scheme_members": members,
        "household_key_columns": list(keys),
        "sampling_column_names": list(DESIGN_COLUMNS),
        "missing_reasons": [str(r) for r in MissingReason],
        "minimum_answered_share": catalog.minimum_answered_share,
    }
    return WRITTEN + "".join(_macro(name, value) for name, value in given.items())


MACRO_WORDS = {
    "catalog_indicators": "Canonical indicators in catalog order, of all systems.",
    "default_scheme_members": "Members of the default weight scheme with dimension, direction and weights, in order.",
    "household_key_columns": "Columns that identify a household in a wave and say what kind of row it is.",
    "sampling_column_names": "Columns that say how a household was drawn.",
    "missing_reasons": "Why a value can be missing, in the order of reports.",
    "minimum_answered_share": "Share of the asked weight of a composite that must be answered.",
}


def _macro(name: str, value: Any) -> str:
    rows = value if isinstance(value, list) else None
    content = (
        repr(value) if rows is None else "[\n" + "".join(f"        {row!r},\n" for row in rows) + "    ]"
    )
    return f"\n{{% macro {name}() -%}}\n    {{{{ return({content}) }}}}\n{{%- endmacro %}}\n"


def _committed(dbt: Path) -> dict[str, str]:
    """SQL of the committed models by name."""
    return {p.stem: p.read_text(encoding="utf-8") for p in (dbt / "models").rglob("*.sql")}


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink() and Path(os.readlink(link)) == target:
        return
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _write(folder: Path, files: Mapping[Path, str]) -> list[str]:
    """Make `files` the only ones of the generated folders; returns what to say of those that others changed."""
    record = folder / RECORD
    try:
        before = dict(json.loads(record.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        before = {}  # a new folder, or one that an earlier version wrote
    written = {str(name): hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    changed = []
    for root in (MODELS, MACROS):
        for path in [p for p in (folder / root).rglob("*") if p.is_file()]:
            if path.relative_to(folder) not in files:
                path.unlink()
    for name, text in files.items():
        path = folder / name
        old = path.read_bytes() if path.exists() else None
        if old == text.encode():
            continue
        if old is not None and before.get(str(name)) not in (None, hashlib.sha256(old).hexdigest()):
            changed.append(
                f"{path}, line {_first_difference(old, text)}: was changed by hand or cut off after it was written; it "
                "is written again. Change the crosswalk, the survey.yml or the catalog that it is made from instead"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    if written != before:
        fresh = record.with_suffix(".new")
        fresh.write_text(json.dumps(written, indent=1), encoding="utf-8")
        fresh.replace(record)
    return changed


def _first_difference(old: bytes, text: str) -> int:
    """Number of the first line in which two versions of a file differ."""
    before, after = old.decode(errors="replace").splitlines(), text.splitlines()
    pairs = enumerate(zip_longest(before, after), start=1)
    return next((number for number, (one, other) in pairs if one != other), len(after))


def _digest(dbt: Path, files: Mapping[Path, str]) -> str:
    total = hashlib.sha256()
    linked = [
        p for name in LINKED for p in ((dbt / name).rglob("*") if (dbt / name).is_dir() else [dbt / name])
    ]
    for path in sorted(p for p in linked if p.is_file()):
        total.update(f"{path.relative_to(dbt)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    for name, text in sorted(files.items()):
        total.update(f"{name}\0{hashlib.sha256(text.encode()).hexdigest()}\n".encode())
    return total.hexdigest()

"""Which households and indicators: a choice on a published file, checked, with everything that explains it.

Belongs here: choosing and reading. Does not belong here: file formats (`labelled`) and prose (`codebook`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from rapidfuzz import process

from relocation_warehouse.ground import sql
from relocation_warehouse.publication.database import LOOKUPS, read_only
from relocation_warehouse.publication.extract.labelled import LabelledTable, Variable
from relocation_warehouse.survey.vocabulary import Label

HOUSEHOLDS = "harmonized.households"
NEEDS = frozenset(
    [
        *(HOUSEHOLDS, "harmonized.indicator_values", "harmonized.coverage", "reference.crosswalk"),
        *("reference.surveys", "reference.indicators", "reference.codes", "reference.value_labels"),
    ]
)
"""Tables that a choice is read from."""


class ExtractError(ValueError):
    """What was chosen does not exist; the message names it, and the likely one."""


@dataclass(frozen=True)
class Extract:
    """What was chosen, and what explains it.

    Attributes
    ----------
    table
        Keys, design (site and weight), then the indicators, with labels and reasons.
    surveys, indicators, answers
        Rows of `reference.surveys`, of `reference.indicators`, and of `reference.crosswalk` for the choice.
    contract_version
        Of the published file; empty where the file is not beside its manifest.
    """

    table: LabelledTable
    surveys: tuple[dict[str, Any], ...]
    indicators: tuple[dict[str, Any], ...]
    answers: tuple[dict[str, Any], ...]
    contract_version: str

    @property
    def is_synthetic(self) -> bool:
        """Whether any household is made up."""
        return bool(self.table.frame["is_synthetic"].any())

    @property
    def citations(self) -> tuple[str, ...]:
        """What to cite, once each."""
        return tuple(dict.fromkeys(str(s["citation"]) for s in self.surveys))


def choose(
    database: Path,
    indicators: Sequence[str] = (),
    surveys: Sequence[str] = (),
    waves: Sequence[str] = (),
) -> Extract:
    """Choose households and indicators of a published file.

    Parameters
    ----------
    database
        A published `warehouse.duckdb`; opened read-only.
    indicators, surveys, waves
        Ids; all where empty. Indicators come in the order given.

    Raises
    ------
    ExtractError
        If a name does not exist, the edition has no household rows, or no household is left.
    """
    with read_only(database) as con:
        schema, name = HOUSEHOLDS.split(".")
        if not con.execute(
            "select 1 from duckdb_tables() where schema_name = ? and table_name = ? and database_name = 'warehouse'",
            [schema, name],
        ).fetchone():
            raise ExtractError(
                f"{database} has no household rows: it is a public edition. Take the analyst edition, or ask for it"
            )
        known = {"indicator": "reference.indicators", "survey": HOUSEHOLDS, "wave": HOUSEHOLDS}
        chosen: dict[str, list[str]] = {}
        for kind, given in (("indicator", indicators), ("survey", surveys), ("wave", waves)):
            column = kind if kind == "wave" else f"{kind}_id"
            order = "order by min(display_order)" if kind == "indicator" else f"order by {column}"
            rows = con.execute(f"select {column} from {known[kind]} group by {column} {order}").fetchall()
            all_of_it = [value for (value,) in rows]
            _check(kind, given, all_of_it)
            chosen[kind] = list(dict.fromkeys(given)) or all_of_it
        return _read(con, chosen["indicator"], chosen["survey"], chosen["wave"], database)


def _check(kind: str, given: Iterable[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            close = process.extractOne(name, known, score_cutoff=55)
            hint = f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(known[:12])}"
            raise ExtractError(f"no {kind} {name!r}{hint}")


def _dicts(con: duckdb.DuckDBPyConnection, query: str, *parameters: object) -> tuple[dict[str, Any], ...]:
    return tuple(con.execute(query, list(parameters)).to_arrow_table().to_pylist())


def _read(
    con: duckdb.DuckDBPyConnection,
    indicators: list[str],
    surveys: list[str],
    waves: list[str],
    database: Path,
) -> Extract:
    schema, name = HOUSEHOLDS.split(".")
    described = con.execute(
        "select column_name, data_type, comment from duckdb_columns()"
        " where database_name = 'warehouse' and schema_name = ? and table_name = ? order by column_index",
        [schema, name],
    ).fetchall()
    facts = {f["indicator_id"]: f for f in _dicts(con, "from reference.indicators")}
    types = {column: kind for column, kind, _ in described}
    own = [(c, kind, comment) for c, kind, comment in described if c not in facts]
    columns = ", ".join(map(sql.identifier, [*(c for c, _, _ in own), *indicators]))
    condition = "where list_contains(?, survey_id) and list_contains(?, wave)"
    order = "order by survey_id, wave_order, household_id"
    households = f"(select row_number() over ({order}) - 1 as place, * from {HOUSEHOLDS} {condition})"
    frame: pd.DataFrame = con.execute(
        f"select {columns} from {households} order by place", [surveys, waves]
    ).df()
    if frame.empty:
        pairs = con.execute(f"select distinct survey_id, wave from {HOUSEHOLDS} order by all").fetchall()
        raise ExtractError(
            f"no household of {', '.join(surveys)} in {', '.join(waves)}; there are: "
            + ", ".join(f"{survey} {wave}" for survey, wave in pairs)
        )
    if not indicators:
        raise ExtractError("the file has no indicators")
    words = _words(con)
    variables = tuple(
        [_key_variable(c, kind, comment, words) for c, kind, comment in own]
        + [_indicator_variable(facts[i], types[i], words) for i in indicators]
    )
    for variable in variables:
        column = frame[variable.name]
        frame[variable.name] = (
            column.astype(np.float64)
            if variable.kind == "number"
            else column.astype(object).where(column.notna(), None)
        )
    reasons: dict[str, Any] = {}
    values = con.execute(
        f"select v.indicator_id, h.place, v.missing_reason from harmonized.indicator_values v"
        f" join {households} h using (survey_id, household_id, wave)"
        " where v.missing_reason is not null and list_contains(?, v.indicator_id)",
        [surveys, waves, indicators],
    ).df()
    for indicator, rows in values.groupby("indicator_id", sort=False):
        of_rows = np.full(len(frame), None, dtype=object)
        of_rows[rows["place"].to_numpy()] = rows["missing_reason"].to_numpy(object)
        reasons[str(indicator)] = of_rows
    manifest = database.parent / "manifest.json"
    return Extract(
        LabelledTable(
            variables,
            frame,
            reasons,
            words.get("missing_reason", {}),
            Label(en="Harmonised surveys of resettled households", zh="易地搬迁住户调查（统一指标）"),
        ),
        _dicts(
            con,
            "from reference.surveys where list_contains(?, survey_id) order by survey_id",
            [*frame["survey_id"].unique()],
        ),
        tuple(facts[i] for i in indicators),
        _dicts(
            con,
            "select x.*, c.n, c.n_missing from reference.crosswalk x join harmonized.coverage c"
            " using (survey_id, wave, indicator_id)"
            " where list_contains(?, survey_id) and list_contains(?, wave) and list_contains(?, indicator_id)"
            " order by survey_id, c.wave_order, indicator_id",
            surveys,
            waves,
            indicators,
        ),
        _version(manifest),
    )


def _version(manifest: Path) -> str:
    try:
        return str(json.loads(manifest.read_text(encoding="utf-8"))["contract_version"])
    except (OSError, KeyError, ValueError):
        return ""


def _words(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Label]]:
    """Words by column or code list, then by code, in their order."""
    words: dict[str, dict[str, Label]] = {}
    rows = con.execute(
        "select column_name, code, label_en, label_zh from (select column_name, code, label_en, label_zh, display_order"
        " from reference.value_labels union all from reference.codes) order by column_name, display_order"
    ).fetchall()
    for column, code, en, zh in rows:
        words.setdefault(column, {})[code] = Label(en=en, zh=zh)
    return words


def _key_variable(name: str, kind: str, comment: str | None, words: dict[str, dict[str, Label]]) -> Variable:
    # the tables that explain codes are for SQL; a file has the words of its codes as value labels
    en, zh = (
        text.split(before)[0]
        for text, before in zip(
            (comment or name).partition(" | ")[::2], (LOOKUPS.en, LOOKUPS.zh), strict=True
        )
    )
    label = Label(en=en, zh=zh or en)
    if kind == "VARCHAR":
        return Variable(name, label, "text", measure="nominal")
    if kind == "BOOLEAN":
        return Variable(name, label, "number", words.get("yes_no", {}), measure="nominal")
    return Variable(name, label, "number", measure="ordinal" if kind == "INTEGER" else "scale")


def _indicator_variable(facts: dict[str, Any], kind: str, words: dict[str, dict[str, Label]]) -> Variable:
    codes = words.get(facts["code_list"] or "", {})
    label = Label(en=facts["label_en"], zh=facts["label_zh"])
    if kind == "VARCHAR":
        return Variable(facts["indicator_id"], label, "code" if codes else "text", codes, measure="nominal")
    # words can only stand for what a number can be
    codes = {code: word for code, word in codes.items() if re.fullmatch(r"-?\d+(\.\d+)?", code)}
    return Variable(
        facts["indicator_id"],
        label,
        "number",
        codes,
        None if codes else facts["unit"],
        {"ordinal": "ordinal", "binary": "nominal"}.get(facts["type"], "scale"),  # type: ignore[arg-type]
    )

"""Survey folders spoilt at random: wrong rules, parameters, codes, columns, weights, keys and answers.

Every mutant is a shipped survey with one to three mistakes of the kind people make. `tried` says what arrival makes of
it; `campaign.py` publishes those that were accepted.
"""

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb
from trial_folders import Folder

from relocation_warehouse.contract.rules import rules_of
from relocation_warehouse.contract.tables import Contract
from relocation_warehouse.receiving.trial import HOUSEHOLDS, trial
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.crosswalk import check_crosswalk, compile_stored
from relocation_warehouse.survey.folder import SurveyFolder, load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.problems import Problem, SurveyFolderError
from relocation_warehouse.survey.vocabulary import Rule

ODD = (
    "",
    " ",
    "0",
    "-1",
    "1e308",
    "-1e308",
    "nan",
    "inf",
    "1e400",
    "1e-320",
    "0.1",
    "99999999999999",
    "张三",
    "1,200",
    "99",
    "2",
    "3.5",
)
EXPRESSIONS = (
    *(
        "ln({v})",
        "1 / {v}",
        "sqrt({v} - 3)",
        "{v} * 1e300",
        "{v} * 1e9",
        "{v} - 1000",
        "{v} * {v}",
        "round({v})",
    ),
    *(
        "case when {v} > 2 then 1 else 0 end",
        "{v} / 0",
        "coalesce({v}, 0)",
        "'x'",
        "{v} % 0",
        "least({v}, 1)",
    ),
    *("{v} * 0", "null"),
)
PARAMETERS = (
    "slope=-1 intercept=6",
    "intercept=60",
    "slope=0",
    "slope=1e200",
    "slope=-1",
    "slope=1e-300",
    "intercept=-5",
    "slope=0.5",
)


def _rows(folder: Folder, table: str) -> tuple[list[str], list[list[str]]]:
    return folder.tables[table][0], folder.tables[table][1:]


def _cell(
    folder: Folder,
    table: str,
    column: str,
    rng: random.Random,
    fits: Callable[[dict[str, str]], bool] = lambda _: True,
) -> tuple[list[str], int]:
    """A random row of a table that fits, as it stands there, and the place of a column in it."""
    header, rows = _rows(folder, table)
    chosen = [r for r in rows if fits(dict(zip(header, r, strict=True)))]
    return rng.choice(chosen), header.index(column)


def _valued(row: dict[str, str]) -> bool:
    return row["rule"] not in ("not_asked", "asked_not_shared", "undetermined")


def _variables(folder: Folder) -> list[str]:
    header, rows = _rows(folder, "columns.csv")
    first = folder.survey["files"][0]["file_id"]
    at, file_at = header.index("variable"), header.index("file_id")
    return [r[at] for r in rows if r[at] and r[file_at] == first]


def wrong_rule(folder: Folder, rng: random.Random) -> None:
    row, at = _cell(folder, "crosswalk.csv", "rule", rng, _valued)
    row[at] = rng.choice([r for r in Rule if r not in ("not_asked", "undetermined")])


def wrong_parameters(folder: Folder, rng: random.Random) -> None:
    row, at = _cell(folder, "crosswalk.csv", "rule", rng, _valued)
    header = folder.tables["crosswalk.csv"][0]
    rule = rng.choice(["scale", "expression", "constant"])
    source = row[header.index("sources")].split(" ")[0]
    given = {
        "scale": rng.choice(PARAMETERS),
        "expression": rng.choice(EXPRESSIONS).format(v=source),
        "constant": rng.choice([*ODD, "1", "5", "female"]),
    }
    row[at], row[header.index("parameters")], row[header.index("codes")] = rule, given[rule], ""
    row[header.index("status")] = "proxy"
    row[header.index("sources")] = "" if rule == "constant" else source


def wrong_source(folder: Folder, rng: random.Random) -> None:
    row, at = _cell(folder, "crosswalk.csv", "sources", rng, _valued)
    row[at] = " ".join(rng.sample(_variables(folder), rng.choice([1, 1, 1, 2, 3])))


def wrong_unit(folder: Folder, rng: random.Random) -> None:
    row, at = _cell(folder, "crosswalk.csv", "unit", rng, _valued)
    row[at] = rng.choice(["wan_yuan/year", "m2", "yuan/month", "percent", "years", "t"])
    row[folder.tables["crosswalk.csv"][0].index("status")] = "compatible"


def wrong_code(folder: Folder, rng: random.Random) -> None:
    header = folder.tables["codes.csv"][0]
    row, at = _cell(folder, "codes.csv", rng.choice(["value", "code", "missing_reason"]), rng)
    if header[at] == "missing_reason":
        row[at], row[header.index("value")] = "refused", ""
    else:
        row[at] = rng.choice([*ODD, "1..3", "5..", "1", "5", "7"])
        if header[at] == "value":
            row[header.index("missing_reason")] = ""


def lost_code(folder: Folder, rng: random.Random) -> None:
    folder.tables["codes.csv"].remove(rng.choice(_rows(folder, "codes.csv")[1]))


def wrong_column(folder: Folder, rng: random.Random) -> None:
    row, at = _cell(
        folder,
        "columns.csv",
        rng.choice(["minimum", "maximum", "type", "codes"]),
        rng,
        lambda r: bool(r["variable"]),
    )
    kind = folder.tables["columns.csv"][0][at]
    lists = sorted({r[0] for r in _rows(folder, "codes.csv")[1]})
    row[at] = rng.choice(
        {
            "minimum": ["", "-1e9", "5", "0"],
            "maximum": ["", "1e15", "3", "100000"],
            "type": ["number", "integer", "text", "date", "code", "multi"],
            "codes": ["", *lists],
        }[kind]
    )


def wrong_weight(folder: Folder, rng: random.Random) -> None:
    folder.survey["sampling_weight"] = rng.choice(_variables(folder))
    folder.survey["missing_weight"] = rng.choice(["refuse", "set_aside"])


def wrong_key(folder: Folder, rng: random.Random) -> None:
    choice = rng.choice(["household_id", "site", "region", "fieldwork", "order", "households"])
    if choice == "household_id":
        folder.survey["files"][0]["household_id"] = rng.sample(_variables(folder), rng.choice([1, 2]))
    elif choice == "site":
        folder.survey["site"]["column"] = rng.choice(_variables(folder))
    elif choice == "region":
        folder.survey["region"] = rng.choice(["guangxi", "elsewhere", "pooled", "all"])
    elif choice == "fieldwork":
        folder.survey["fieldwork"] = rng.choice(["1999", "2031-12", "2020-01-01"])
    elif choice == "order":
        for wave in folder.survey["waves"]:
            wave["order"] = 10 - wave["order"]
    else:
        rng.choice(folder.survey["sites"])["households"] = rng.choice([1, 10**12, None])


def odd_cells(folder: Folder, rng: random.Random) -> None:
    rows = folder.files[rng.choice([*folder.files])]
    for _ in range(rng.choice([1, 3, 40])):
        row = rng.choice(rows[1:])
        row[rng.randrange(len(row))] = rng.choice(ODD)


def odd_column(folder: Folder, rng: random.Random) -> None:
    rows = folder.files[rng.choice([*folder.files])]
    at, value = rng.randrange(len(rows[0])), rng.choice(ODD)
    for row in rows[1:] if rng.random() < 0.5 else rng.sample(rows[1:], len(rows) // 3):
        row[at] = value


def odd_rows(folder: Folder, rng: random.Random) -> None:
    rows = folder.files[rng.choice([*folder.files])]
    how = rng.choice(["few", "twice", "none_of_a_site", "header"])
    if how == "few":
        del rows[rng.choice([2, 3, 6, 30]) :]
    elif how == "twice":
        rows += [[*row] for row in rng.sample(rows[1:], 5)]
    elif how == "none_of_a_site":
        at = rng.randrange(len(rows[0]))
        value = rng.choice(rows[1:])[at]
        rows[1:] = [row for row in rows[1:] if row[at] != value] or rows[1:2]
    else:
        del rows[1:]


def real(folder: Folder, rng: random.Random) -> None:
    folder.survey["is_synthetic"] = False


MUTATIONS = (
    *(
        wrong_rule,
        wrong_parameters,
        wrong_parameters,
        wrong_source,
        wrong_unit,
        wrong_code,
        lost_code,
        wrong_column,
    ),
    *(wrong_weight, wrong_key, odd_cells, odd_cells, odd_column, odd_rows, real),
)


def mutate(folder: Folder, seed: int) -> tuple[str, ...]:
    """Spoil a folder; gives the names of what was done."""
    rng = random.Random(seed)
    chosen = rng.sample(MUTATIONS, rng.choice([1, 1, 2, 3]))
    for mutation in chosen:
        mutation(folder, rng)
    return tuple(m.__name__ for m in chosen)


def tried(path: Path, catalog: Catalog, contract: Contract) -> tuple[Problem, ...]:
    """What arrival refuses a folder for; of an accepted one, that its stored rows keep the contract."""
    try:
        folder = load_folder(path, catalog.indicator)
    except SurveyFolderError as error:
        return error.problems
    problems = check_crosswalk(folder, catalog)
    if problems:
        return problems
    with tempfile.TemporaryDirectory() as scratch, duckdb.connect() as con:
        load = ingest(
            folder, Path(scratch), con, catalog.indicator, trial=lambda c: trial(folder, catalog, contract, c)
        )
        if load.is_accepted:
            _publishable(folder, catalog, contract, con)
    return load.problems


def _publishable(
    folder: SurveyFolder, catalog: Catalog, contract: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    """Fill the tables of the waves as a refresh does, and hold them to the contract and the tests of the models."""
    con.execute("CREATE SCHEMA staging")
    for wave in folder.survey.waves:
        parts = compile_stored(folder, wave.wave, catalog)
        con.execute(f'CREATE TABLE staging."{parts.table}" AS {parts.stored}')
        con.execute(f"CREATE OR REPLACE TEMP VIEW shown AS {parts.shown}")
        rules = [rule for column in contract[HOUSEHOLDS].columns for rule in rules_of(column)]
        n, n_keys, weight, *bad = con.execute(
            "SELECT count(*), count(DISTINCT (survey_id, household_id, wave)), sum(weight), "
            f"{', '.join(f'count(*) FILTER (WHERE {rule.bad})' for rule in rules)} FROM shown"
        ).fetchone()
        assert n == n_keys > 0, (folder.survey_id, wave.wave)
        assert weight > 0, (folder.survey_id, wave.wave)
        broken = [rule.message for rule, found in zip(rules, bad, strict=True) if found]
        assert not broken, (folder.survey_id, wave.wave, broken)
        uneven = (
            f'count(*) FILTER (WHERE ("{i.id}" IS NULL) = ("{i.id}__missing" IS NULL))'
            for i in catalog.indicators
        )
        assert not any(con.execute(f"SELECT {', '.join(uneven)} FROM shown").fetchone()), folder.survey_id

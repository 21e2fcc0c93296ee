"""Survey folders spoilt at random: wrong rules, parameters, codes, columns, weights, keys and answers.

Every mutant is a shipped survey with one to three mistakes of the kind people make. `tried` says what arrival makes of
it; `campaign.py` publishes those that were accepted.
"""

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from trial_folders import Folder

from relocation_warehouse.contract.rules import rules_of
from relocation_warehouse.contract.tables import Contract
from relocation_warehouse.models.description import OF_WAVES
from relocation_warehouse.publication.withholding import DRAWN, choose, published_rows
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


def _wave(folder: Folder, rng: random.Random) -> str:
    return rng.choice(folder.survey["waves"])["wave"]


def _indicators(folder: Folder) -> list[str]:
    header, rows = _rows(folder, "crosswalk.csv")
    return sorted({r[header.index("indicator_id")] for r in rows})


def _base_rows(folder: Folder) -> list[list[str]]:
    """Answers of the first file of households."""
    return next(
        folder.files[f["file_id"]]
        for f in folder.survey["files"]
        if f.get("grain", "household") == "household"
    )


def _with_column(folder: Folder, table: str, column: str) -> list[str]:
    """The header of a table, with a column that may be left out."""
    header = folder.tables[table][0]
    if column not in header:
        for cells in folder.tables[table]:
            cells.append(column if cells is header else "")
    return header


def wrong_design(folder: Folder, rng: random.Random) -> None:
    """Weights, strata, units and populations that the columns do not hold, or hold in one wave only."""

    def drawn() -> dict[str, Any]:
        some: dict[str, Any] = {
            "weight": rng.choice(_variables(folder)),
            "stratum": rng.choice([rng.choice(_variables(folder)), rng.sample(_variables(folder), 2), None]),
            "sampling_unit": rng.choice([rng.choice(_variables(folder)), rng.sample(_variables(folder), 2)]),
            "population_units": rng.choice([1, 10**6, rng.choice(_variables(folder)), {"1": 3, "nobody": 2}]),
            "unit_households": rng.choice([1, 40, rng.choice(_variables(folder))]),
        }
        return {name: some[name] for name in rng.sample(sorted(some), rng.choice([1, 2, 3]))}

    folder.survey["design"] = drawn()
    if rng.random() < 0.4:
        folder.survey["design"]["waves"] = {_wave(folder, rng): drawn()}
    if "weight" in folder.survey["design"]:
        folder.survey.pop("sampling_weight", None)
    folder.survey["missing_weight"] = rng.choice(["refuse", "set_aside"])


def wrong_convention(folder: Folder, rng: random.Random) -> None:
    """A way of writing that the cells follow in part, or not at all."""
    shown = rng.choice(
        [
            ({"decimal": ",", "thousands": "."}, "{:,.2f}"),
            ({"decimal": ","}, "{}"),
            ({"thousands": ","}, "{:,.0f}"),
            ({"suffixes": {"亩": 1.0, "公顷": 15.0}, "bare": rng.random() < 0.5}, "{}公顷"),
            ({"suffixes": {"万": 1e4}, "numerals": "zh"}, "{}万"),
            ({"prefixes": ["约"], "suffixes": {"元": rng.choice([1.0, 1e-9, 1e200])}}, "约{}元"),
            ({"dates": ["%d/%m/%Y", "%m/%d/%Y"]}, "{}/1/2020"),
        ]
    )
    folder.survey["conventions"] = {"odd": shown[0]}
    header = _with_column(folder, "columns.csv", "convention")
    row, at = _cell(
        folder, "columns.csv", "convention", rng, lambda r: r["type"] in ("number", "integer", "date")
    )
    row[at] = "odd"
    rows = folder.files[row[header.index("file_id")]]
    place = rows[0].index(row[header.index("column")])
    for cells in rows[1:]:
        if rng.random() < rng.choice([0.03, 0.97]):
            try:
                cells[place] = shown[1].format(float(cells[place]))
            except ValueError:
                cells[place] = ""


def wrong_local_unit(folder: Folder, rng: random.Random) -> None:
    """A unit that no table knows, with a factor in all waves, in one, or to another unit than the indicator has."""
    row, at = _cell(
        folder,
        "crosswalk.csv",
        "unit",
        rng,
        lambda r: _valued(r) and r["indicator_id"].endswith(("_yuan", "_mu")),
    )
    row[at] = "bushels"
    header = folder.tables["crosswalk.csv"][0]
    row[header.index("status")] = "compatible"
    wanted = "mu" if row[header.index("indicator_id")].endswith("_mu") else "yuan/year"
    for wave in rng.sample([None, *(w["wave"] for w in folder.survey["waves"])], rng.choice([1, 2])):
        unit = {"from": "bushels", "to": rng.choice([wanted, wanted, "persons"]), "note": "local"}
        unit["factor"] = rng.choice([1.0, 0.0667, 1e300, 1e-300])
        folder.survey.setdefault("units", []).append(unit | ({"wave": wave} if wave else {}))


def wrong_disclosure(folder: Folder, rng: random.Random) -> None:
    """What is withheld or coarsened of a real survey, of indicators that nobody asked among others."""
    folder.survey["is_synthetic"] = False
    coarse = {
        "width": rng.choice([10, 0.001, 1e9]),
        "at_most": rng.choice([0, 7, -5]),
        "codes": rng.choice([{"female": "male"}, {"1": "2", "2": "1"}, {"x": "y"}]),
    }
    name = rng.choice(["width", "at_most", "codes"])
    folder.survey["disclosure"] = {
        "withhold": rng.sample(_indicators(folder), rng.choice([0, 1, 5])),
        "coarsen": [{"indicator": rng.choice(_indicators(folder)), name: coarse[name]}],
    }


def standing_out(folder: Folder, rng: random.Random) -> None:
    """Real households that nobody resembles: answers of their own, or each wave another profile."""
    folder.survey["is_synthetic"] = False
    del folder.tables["corrections.csv"][1:]
    rows = _base_rows(folder)
    for at in rng.sample(range(len(rows[0])), rng.choice([1, 3, len(rows[0]) // 2])):
        seen = [r[at] for r in rows[1:]]
        rng.shuffle(seen)
        for row, value in zip(rows[1:], seen, strict=True):
            row[at] = value


def small_sites(folder: Folder, rng: random.Random) -> None:
    """A real survey with sites of one to six households, or all households at one."""
    folder.survey["is_synthetic"] = False
    if "column" not in folder.survey["site"]:
        return
    rows = _base_rows(folder)
    _, at = folder.column(folder.survey["site"]["column"])
    places = sorted({r[at] for r in rows[1:]})
    kept = rng.choice(places)
    left = dict.fromkeys(places, rng.choice([0, 1, 4, 5, 6]))
    for row in rows[1:]:
        left[row[at]] -= 1
        if left[row[at]] < 0:
            row[at] = kept


def lost_wave(folder: Folder, rng: random.Random) -> None:
    """A wave without half of its households, with ids in another form, or that nobody was asked in."""
    rows = _base_rows(folder)
    del folder.tables["corrections.csv"][1:]
    names = next(f["household_id"] for f in folder.survey["files"])
    _, at = folder.column(names[0])
    how = rng.choice(["half", "form", "none", "allowed"])
    if how in ("half", "allowed"):
        rows[1:] = [r for k, r in enumerate(rows[1:]) if k % 2]
        if how == "allowed":
            folder.survey["largest_share_lost"] = rng.choice([0, 0.5, 1])
    elif how == "form":
        for row in rows[1 : len(rows) // 2]:
            row[at] = f"00{row[at].lower()}"
        if rng.random() < 0.5:
            for file in folder.survey["files"]:
                file["household_id_form"] = "plain"
    else:
        folder.survey["waves"].append({"wave": "later", "order": 7, "label": {"en": "Later"}})


def wrong_split(folder: Folder, rng: random.Random) -> None:
    folder.survey["files"][0]["split_from"] = rng.sample(_variables(folder), rng.choice([1, 2]))


def wrong_limits(folder: Folder, rng: random.Random) -> None:
    folder.survey["largest_share_set_aside"] = rng.choice([0, 0.5, 1])
    odd_column(folder, rng)


def wrong_order(folder: Folder, rng: random.Random) -> None:
    """A filter or an order of a roster that names what is not there, or compares what cannot be compared."""
    row, at = _cell(folder, "crosswalk.csv", "parameters", rng, _valued)
    header, variable = folder.tables["crosswalk.csv"][0], rng.choice(_variables(folder))
    row[header.index("rule")] = rng.choice(["sum_available", "count", "max", "first", "last", "any"])
    row[at] = rng.choice([f"order={variable}", "order=nothing", "absent=0", f"where={variable} > 0"])
    _with_column(folder, "crosswalk.csv", "where")
    row[header.index("where")] = rng.choice(
        ["", f"{variable} = 1", f"{variable} > 'x'", "nothing = 1", "1 = 1", "age >"]
    )
    row[header.index("codes")], row[header.index("status")] = "", "proxy"


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
    *(wrong_design, wrong_convention, wrong_local_unit, wrong_disclosure, standing_out, small_sites),
    *(lost_wave, wrong_split, wrong_limits, wrong_order),
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
    """Fill the tables of the waves as a refresh does, and hold them to the contract and the tests of the models.

    Of a real survey, hold also that what is published of its households lets nobody stand out.
    """
    con.execute("CREATE SCHEMA staging")
    for wave in folder.survey.waves:
        parts = compile_stored(folder, wave.wave, catalog)
        con.execute(f'CREATE TABLE staging."{parts.table}" AS {parts.stored}')
        con.execute(f"CREATE OR REPLACE TEMP VIEW shown AS {parts.shown}")
        stored = [c for c in contract[HOUSEHOLDS].columns if c.name not in OF_WAVES]
        rules = [rule for column in stored for rule in rules_of(column)]
        n, n_keys, weight, *bad = con.execute(
            "SELECT count(*), count(DISTINCT (survey_id, household_id, wave)), sum(weight), "
            f"{', '.join(f'count(*) FILTER (WHERE {rule.bad})' for rule in rules)} FROM shown"
        ).fetchone()
        assert n == n_keys > 0, (folder.survey_id, wave.wave)
        assert weight > 0, (folder.survey_id, wave.wave)
        broken = [rule.message for rule, each in zip(rules, bad, strict=True) if each]
        assert not broken, (folder.survey_id, wave.wave, broken)
        uneven = (
            f'count(*) FILTER (WHERE ("{i.id}" IS NULL) = ("{i.id}__missing" IS NULL))'
            for i in catalog.indicators
        )
        assert not any(con.execute(f"SELECT {', '.join(uneven)} FROM shown").fetchone()), folder.survey_id
        con.execute("CREATE TABLE IF NOT EXISTS all_waves AS SELECT * FROM shown WHERE false")
        con.execute("INSERT INTO all_waves BY NAME SELECT * FROM shown")
    if not folder.survey.is_synthetic:
        _hidden_among_others(folder, catalog, contract, con)


def _hidden_among_others(
    folder: SurveyFolder, catalog: Catalog, contract: Contract, con: duckdb.DuckDBPyConnection
) -> None:
    """Count by pandas who shares site and quasi-identifiers of all waves, in the rows as they are published."""
    sensitive, fewest = [i.id for i in catalog.indicators if i.sensitive], catalog.gates.fewest_alike
    withheld = choose(
        con, folder.survey_id, "(SELECT * FROM all_waves)", sensitive, fewest, folder.survey.disclosure
    )
    rows = con.execute(f"SELECT * FROM {published_rows(contract[HOUSEHOLDS], 'all_waves', [withheld])}").df()
    told = [c for c in ("wave", "site_id", *sensitive, *DRAWN) if c in rows]
    profile = rows[told].astype(object).apply(lambda r: "|".join(map(str, r)), axis=1)
    whole = profile.groupby(rows["household_id"]).agg(lambda parts: "/".join(sorted(parts)))
    alike = whole.map(whole.value_counts())
    assert withheld.is_everything or alike.min() >= fewest, (folder.survey_id, str(withheld))
    assert not [c for c in withheld.columns if rows[c].notna().any()], str(withheld)

"""A survey that could not be published is refused on arrival, alone and by name; the rest is not touched."""

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from trial_folders import SURVEYS, Folder

from relocation_warehouse.contract.tables import Contract
from relocation_warehouse.receiving.arrival import receive
from relocation_warehouse.receiving.trial import large_shares, set_aside, trial
from relocation_warehouse.receiving.warehouse import Warehouse
from relocation_warehouse.survey.catalog import Catalog
from relocation_warehouse.survey.crosswalk import check_crosswalk
from relocation_warehouse.survey.folder import load_folder
from relocation_warehouse.survey.ingest import ingest
from relocation_warehouse.survey.problems import Problem

Survey = Callable[[str], Folder]


@pytest.fixture
def problems_of(
    tmp_path: Path, catalog: Catalog, contract: Contract
) -> Callable[[Folder], tuple[Problem, ...]]:
    """What a changed folder is refused for, in the trial and before it."""

    def problems(changed: Folder) -> tuple[Problem, ...]:
        folder = load_folder(changed.save(tmp_path / "changed").path, catalog.indicator)
        assert check_crosswalk(folder, catalog) == ()
        with duckdb.connect() as con:
            return ingest(
                folder, tmp_path, con, catalog.indicator, trial=lambda c: trial(folder, catalog, contract, c)
            ).problems

    return problems


def weighted(folder: Folder, weights: list[str], **declared: object) -> Folder:
    """Add a column of weights to the first file."""
    file = folder.survey["files"][0]
    rows = folder.files[file["file_id"]]
    rows[0].append("w")
    for k, row in enumerate(rows[1:]):
        row.append(weights[k] if k < len(weights) else "1")
    header = folder.tables["columns.csv"][0]
    column = {
        "file_id": file["file_id"],
        "column": "w",
        "variable": "w",
        "type": "number",
        "is_personal": "false",
    }
    folder.tables["columns.csv"].append([column.get(name, "") for name in header])
    folder.survey |= {"sampling_weight": "w", **declared}
    return folder


def scaled(folder: Folder, parameters: str) -> tuple[Folder, int]:
    """Change the parameters of a row of rule scale; gives its line."""
    return folder, folder.change("crosswalk.csv", {"rule": "scale"}, parameters=parameters)


def test_what_is_shipped_passes(
    problems_of: Callable[..., tuple[Problem, ...]], plain_survey: Survey
) -> None:
    assert problems_of(plain_survey("gz_anshun_2020")) == ()


def test_a_wrong_parameter_is_named_with_line_wave_indicator_households_and_a_row(
    problems_of: Callable[..., tuple[Problem, ...]], plain_survey: Survey
) -> None:
    folder, line = scaled(plain_survey("gz_anshun_2020"), "slope=-1 intercept=60")
    (problem,) = problems_of(folder)
    assert (problem.file, problem.line) == ("crosswalk.csv", line)
    for part in (
        "wave single, customs_difference",
        "322 of 323 households",
        "is over 5",
        "answers.csv, row 2)",
        "correct the rule",
    ):
        assert part in problem.message
    assert "intercept=60" in problem.message


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([""], "1 of 323 households: weight is empty"),
        (["1", "-2"], "1 of 323 households: weight is under 0"),
        (["0"] * 323, "all sampling weights are zero"),
        (["1e13"], "weight is over 1000000000000"),
    ],
)
def test_weights_that_cannot_be_used_are_named(
    problems_of: Callable[..., tuple[Problem, ...]], plain_survey: Survey, weights: list[str], message: str
) -> None:
    (problem,) = problems_of(weighted(plain_survey("gz_anshun_2020"), weights))
    assert problem.file == "survey.yml"
    assert problem.line
    assert message in problem.message


def test_households_without_a_weight_are_set_aside_where_that_is_declared(
    tmp_path: Path, catalog: Catalog, contract: Contract, plain_survey: Survey
) -> None:
    changed = weighted(plain_survey("gz_anshun_2020"), ["", "2", "no"], missing_weight="set_aside")
    folder = load_folder(changed.save(tmp_path / "changed").path, catalog.indicator)
    with duckdb.connect() as con:
        load = ingest(folder, tmp_path, con, trial=lambda c: trial(folder, catalog, contract, c))
        assert load.is_accepted
        (file,) = load.files
        assert (file.received, file.accepted, file.quarantined) == (323, 321, 2)
        aside = con.execute(
            "SELECT \"row\", rule FROM quality.quarantine WHERE grain = 'row' ORDER BY 1"
        ).fetchall()
    assert aside == [(2, "missing_weight"), (4, "missing_weight")]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("customs_similarity / 2", "is none of the codes 1, 2, 3, 4, 5"),
        ("customs_similarity * 100", "is over 5"),
    ],
)
def test_an_expression_that_fails_on_an_answer_is_named(
    problems_of: Callable[..., tuple[Problem, ...]], plain_survey: Survey, expression: str, message: str
) -> None:
    folder = plain_survey("gz_anshun_2020")
    line = folder.change("crosswalk.csv", {"rule": "scale"}, rule="expression", parameters=expression)
    (problem,) = (p for p in problems_of(folder) if message in p.message)
    assert (problem.file, problem.line) == ("crosswalk.csv", line)
    assert "such as household" in problem.message


def test_a_text_that_is_no_code_of_the_catalog_is_named(
    problems_of: Callable[..., tuple[Problem, ...]], plain_survey: Survey
) -> None:
    folder = plain_survey("gz_anshun_2020")
    header = folder.tables["crosswalk.csv"][0]
    row = next(r for r in folder.tables["crosswalk.csv"] if r[header.index("indicator_id")] == "sex")
    source = row[header.index("sources")]
    expression = f"case when {source} = 'male' then 'x' else {source} end"
    line = folder.change(
        "crosswalk.csv",
        {"indicator_id": "sex"},
        rule="expression",
        parameters=expression,
        codes="",
        status="proxy",
    )
    (problem,) = problems_of(folder)
    assert (problem.file, problem.line) == ("crosswalk.csv", line)
    assert "cannot be computed, or is no code of the catalog" in problem.message
    assert "such as household" in problem.message


def test_a_constant_outside_the_catalog_is_named(
    problems_of: Callable[..., tuple[Problem, ...]], plain_survey: Survey
) -> None:
    folder = plain_survey("gz_anshun_2020")
    line = folder.change("crosswalk.csv", {"rule": "scale"}, rule="constant", parameters="17", sources="")
    folder.change(
        "columns.csv",
        {"variable": "customs_similarity"},
        variable="",
        ignore_reason="not used",
        type="",
        codes="",
    )
    (problem,) = problems_of(folder)
    assert (problem.file, problem.line) == ("crosswalk.csv", line)
    assert "323 of 323 households" in problem.message


def test_a_wave_without_households_says_which_rule_took_them(
    problems_of: Callable[..., tuple[Problem, ...]], plain_survey: Survey
) -> None:
    folder = plain_survey("gz_anshun_2020")
    file_id, at = folder.column(folder.survey["site"]["column"])
    for row in folder.files[file_id][1:]:
        row[at] = "elsewhere"
    (problem,) = problems_of(folder)
    assert problem.file == "survey.yml"
    assert "wave single: no household is left" in problem.message
    assert "rule unknown_site sets aside 323 of 323 rows" in problem.message


def test_a_refused_survey_keeps_what_was_accepted_before(
    tmp_path: Path, catalog: Catalog, contract: Contract, plain_survey: Survey
) -> None:
    good = load_folder(plain_survey("gz_anshun_2020").save(tmp_path / "s").path, catalog.indicator)
    with duckdb.connect() as con:
        assert ingest(good, tmp_path, con).is_accepted
        before = con.execute("FROM raw.s__answers").fetchall()
        folder, _ = scaled(plain_survey("gz_anshun_2020"), "slope=-1 intercept=60")
        bad = load_folder(folder.save(tmp_path / "s").path, catalog.indicator)
        load = ingest(bad, tmp_path, con, trial=lambda c: trial(bad, catalog, contract, c))
        assert not load.is_accepted
        assert con.execute("FROM raw.s__answers").fetchall() == before
        assert con.execute("SELECT DISTINCT status, received FROM quality.loads").fetchall() == [
            ("refused", 323)
        ]
    assert not list((tmp_path / "s").glob("*.part"))


def test_a_large_share_set_aside_is_a_mistake_unless_allowed(
    tmp_path: Path, catalog: Catalog, plain_survey: Survey
) -> None:
    folder = plain_survey("gz_anshun_2020")
    site_file, site = folder.column(folder.survey["site"]["column"])
    answers = folder.files[site_file][1:]
    for row in answers[:20]:
        row[site] = "elsewhere"
    _, at = folder.column("customs_similarity")
    for row in answers[100:118]:
        row[at] = "99"
    for allowed, wanted in ((None, ["answers.csv", "columns.csv"]), (0.06, ["answers.csv"]), (0.1, [])):
        if allowed is not None:
            folder.survey["largest_share_set_aside"] = allowed
        loaded = load_folder(folder.save(tmp_path / "s").path, catalog.indicator)
        with duckdb.connect() as con:
            ingest(loaded, tmp_path, con)
            large = list(large_shares(loaded, catalog, set_aside(loaded, con)))
        assert [p.file for p in large] == wanted
        assert all("largest_share_set_aside" in p.message and "such as" in p.message for p in large)


def test_an_accepted_survey_is_told_of_large_shares_among_its_checks(
    tmp_path: Path, plain_survey: Survey
) -> None:
    folder = plain_survey("gz_anshun_2020")
    _, at = folder.column("customs_similarity")
    for row in folder.files["answers"][1:31]:
        row[at] = "99"
    for name in ("catalog", "literature"):
        (tmp_path / name).symlink_to(SURVEYS.parent / name)
    folder.save(tmp_path / "surveys" / "s")
    arrival = receive(Warehouse(tmp_path), "s")
    assert arrival.is_accepted
    (check,) = (c for c in arrival.checks if c["source"] == "ingest")
    assert (check["status"], check["severity"], check["n_failed"]) == ("failed", "warning", 30)
    assert "30 of 323 answers" in check["message"]
    assert "99" not in check["message"]
    assert len({c["loaded_at"] for c in arrival.checks}) == 1


def test_a_second_folder_with_the_id_of_another_survey_is_refused_alone(
    tmp_path: Path, plain_survey: Survey
) -> None:
    for name in ("catalog", "literature"):
        (tmp_path / name).symlink_to(SURVEYS.parent / name)
    first = plain_survey("gz_anshun_2020").save(tmp_path / "surveys" / "first").path
    warehouse = Warehouse(tmp_path)
    assert receive(warehouse, "first").is_accepted
    with warehouse.connect() as con:
        before = con.execute("from raw.first__answers").fetchall()
    shutil.copytree(first, first.with_name("second"))
    arrival = receive(warehouse, "second")
    assert not arrival.is_accepted
    (problem,) = arrival.problems
    lines = (first / "survey.yml").read_text("utf-8").splitlines()
    assert problem.file == "survey.yml"
    assert lines[problem.line - 1] == "survey_id: first"
    assert "write survey_id: second, or rename the folder" in problem.message
    with warehouse.connect() as con:
        assert con.execute("from raw.first__answers").fetchall() == before
    assert [folder.survey_id for folder in warehouse.accepted_folders()] == ["first"]


def by_name(folder: Folder, table: str, **cells: str) -> None:
    """Add a row to a table of declarations."""
    folder.tables[table].append([cells.get(name, "") for name in folder.tables[table][0]])


def with_a_second_wave(folder: Folder, keep: int) -> Folder:
    """Ask the first households of the first file once more, in a file of its own."""
    first = folder.survey["files"][0]
    wave = folder.survey["waves"][0]["wave"]
    again = first | {"file_id": "again", "path": "again.csv", "wave": {"fixed": "later"}}
    first["wave"] = {"fixed": wave}
    folder.survey["files"] = [first, again]
    folder.survey["waves"] = [
        folder.survey["waves"][0],
        {"wave": "later", "order": 9, "label": {"en": "Later", "zh": "其后"}},
    ]
    header, *rows = folder.files[first["file_id"]]
    folder.files["again"] = [header, *(list(row) for row in rows[:keep])]
    names = folder.tables["columns.csv"][0]
    for row in folder.tables["columns.csv"][1:]:
        by_name(folder, "columns.csv", **(dict(zip(names, row, strict=True)) | {"file_id": "again"}))
    return folder


@pytest.mark.parametrize(
    ("keep", "allowed", "refused"),
    [(323, None, ""), (200, None, ""), (161, None, "162 of 323"), (161, 0.6, "")],
)
def test_a_wave_that_loses_half_of_its_households_is_refused_unless_allowed(
    problems_of: Callable[..., tuple[Problem, ...]],
    plain_survey: Survey,
    keep: int,
    allowed: float | None,
    refused: str,
) -> None:
    folder = with_a_second_wave(plain_survey("gz_anshun_2020"), keep)
    if allowed is not None:
        folder.survey["largest_share_lost"] = allowed
    problems = problems_of(folder)
    assert len(problems) == bool(refused)
    for problem in problems:
        assert (problem.file, problem.line is None) == ("survey.yml", False)
        assert f"wave later: {refused} households of wave single are not in it" in problem.message
        assert "such as household" in problem.message
        assert "allow them with largest_share_lost" in problem.message


def design(folder: Folder, populations: list[str]) -> Folder:
    """Add columns of strata, units and numbers of units in the population: two strata of four units each."""
    file = folder.survey["files"][0]["file_id"]
    rows = folder.files[file]
    for name, kind in (("stratum", "text"), ("psu", "text"), ("pop", "integer")):
        rows[0].append(name)
        by_name(
            folder, "columns.csv", file_id=file, column=name, variable=name, type=kind, is_personal="false"
        )
    for k, row in enumerate(rows[1:]):
        row += [f"S{k % 2}", f"U{k % 8}", populations[k % len(populations)]]
    folder.survey["design"] = {"stratum": "stratum", "sampling_unit": "psu", "population_units": "pop"}
    return folder


@pytest.mark.parametrize(
    ("populations", "messages"),
    [
        (["4"], []),
        (["40", "50"], []),
        (["3", "50"], ["stratum 'S0': 4 sampling units were drawn of population_units 3"]),
        (
            ["40", "50", "41"],
            ["stratum 'S0': population_units is 40", "stratum 'S1': population_units is 40"],
        ),
    ],
)
def test_a_stratum_has_as_many_units_as_were_drawn(
    problems_of: Callable[..., tuple[Problem, ...]],
    plain_survey: Survey,
    populations: list[str],
    messages: list[str],
) -> None:
    problems = problems_of(design(plain_survey("gz_anshun_2020"), populations))
    assert len(problems) == len(messages)
    for problem, message in zip(problems, messages, strict=True):
        assert problem.file == "survey.yml"
        assert problem.line
        assert message in problem.message

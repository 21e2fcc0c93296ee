"""What people type first gives what they mean: means over households, waves side by side, codes with their words."""

import subprocess
import sys

import duckdb
import pytest

from relocation_warehouse.contract.macros import macros_of, read_macros
from relocation_warehouse.contract.tables import ContractError, contract_of
from relocation_warehouse.ground.paths import Paths
from relocation_warehouse.publication.tables import public_contract
from relocation_warehouse.survey.vocabulary import round_of

MACROS = Paths.from_environment().catalog / "macros.sql"


@pytest.fixture(scope="module")
def con(published):
    with duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as opened:
        yield opened


@pytest.mark.parametrize(
    ("waves", "expected"),
    [
        (["single"], ["latest"]),
        (["after"], ["latest"]),
        (["before"], ["first"]),
        (["before", "after"], ["first", "latest"]),
        (["w1", "w2", "w3"], ["first", "between", "latest"]),
    ],
)
def test_the_round_lines_waves_up(waves, expected):
    assert [round_of(wave, waves) for wave in waves] == expected


def test_a_mean_over_the_default_view_is_the_mean_of_the_households(con):
    rows = con.sql("select survey_id, wave, avg(d) from analysis.coupling_default group by all order by all")
    said = con.sql(
        "select survey_id, wave, mean_d from analysis.coupling_summary where group_type = 'all' "
        "and scheme = 'equal' and variant = 'standard' and band_scheme = 'livelihood_types' order by all"
    )
    for (survey, wave, mean), expected in zip(rows.fetchall(), said.fetchall(), strict=True):
        assert (survey, wave) == expected[:2]
        assert mean == pytest.approx(expected[2], abs=1e-12)


def test_the_default_view_has_one_row_a_household_and_wave(con):
    n, n_keys, n_households = con.sql(
        "select count(*), count(distinct (survey_id, household_id, wave)), "
        "(select count(*) from harmonized.households) from analysis.coupling_default"
    ).fetchone()
    assert 0 < n == n_keys <= n_households


@pytest.mark.parametrize(
    ("table", "survey"),
    [
        ("analysis.region_comparison where evidence = 'household'", "source_id"),
        ("analysis.obstacle_degrees where true", "survey_id"),
        ("analysis.coupling_summary where true", "survey_id"),
        ("analysis.coupling_default where true", "survey_id"),
    ],
)
def test_the_latest_round_drops_no_survey_and_takes_one_wave_of_each(con, table, survey):
    surveys = con.sql(f"select distinct {survey} from {table}").fetchall()
    latest = con.sql(f"select distinct {survey}, wave from {table} and round = 'latest'").fetchall()
    assert sorted(s for s, _ in latest) == sorted(s for (s,) in surveys)


def test_a_wave_by_its_name_drops_a_survey_and_the_round_does_not(con):
    def regions(condition):
        table = "analysis.region_comparison where evidence = 'household'"
        return con.sql(f"select count(distinct region) from {table} and {condition}").fetchone()[0]

    assert regions("wave = 'after'") < regions("round = 'latest'") == regions("true")


def test_household_tables_are_lined_up_by_the_macro(con):
    rows = con.sql(
        "select distinct survey_id from capital.household_capitals where round_of(survey_id, wave) = 'latest'"
    )
    assert {s for (s,) in rows.fetchall()} == {
        s for (s,) in con.sql("select distinct survey_id from harmonized.households").fetchall()
    }


def test_a_rank_names_one_indicator_of_a_system(con):
    twice = con.sql(
        "select survey_id, wave, group_type, group_id, scheme, system, rank from analysis.obstacle_degrees "
        "where rank is not null group by all having count(*) > 1"
    ).fetchall()
    assert twice == []
    sums = con.sql(
        "select sum(degree) from analysis.obstacle_degrees where degree is not null "
        "group by survey_id, wave, group_type, group_id, scheme, system"
    ).fetchall()
    assert [s for (s,) in sums] == pytest.approx([1] * len(sums))


def test_every_macro_lies_in_the_file_with_its_comment(con):
    wanted = {m.name: m.comment for m in macros_of(contract_of())}
    assert len(wanted) == len(list(read_macros(MACROS)))
    rows = con.sql(
        "select function_name, comment from duckdb_functions() where function_type like '%macro' and not internal"
    ).fetchall()
    assert dict(rows) == wanted


def test_the_public_edition_has_the_macros_whose_tables_it_has(published):
    public = public_contract(contract_of())
    wanted = {m.name for m in macros_of(public)}
    assert {"metric_by_region", "round_of"} <= wanted < {m.name for m in macros_of(contract_of())}
    with duckdb.connect(str(published / "public" / "warehouse.duckdb"), read_only=True) as con:
        assert con.sql("select count(*) from metric_by_region('coupling_coordination_degree')").fetchone()[0]
        rows = con.sql(
            "select function_name from duckdb_functions() where function_type like '%macro' and not internal"
        )
        assert {name for (name,) in rows.fetchall()} == wanted  # fmt: skip


def test_a_statement_that_is_no_macro_is_refused(tmp_path):
    path = tmp_path / "macros.sql"
    path.write_text("-- A table.\ncreate table t (a int);\n", encoding="utf-8")
    with pytest.raises(ContractError, match=r"macros\.sql: expected a comment and a macro"):
        list(read_macros(path))
    path.write_text("create macro silent(x) as x;\n", encoding="utf-8")
    with pytest.raises(ContractError, match="comment"):
        list(read_macros(path))


def test_a_comment_says_where_the_words_of_a_code_are(con):
    codes = (
        "variant",
        "scheme",
        "wave",
        "round",
        "group_id",
        "group_type",
        "band",
        "band_scheme",
    )
    for column in codes:
        for table, comment in con.execute(
            "select schema_name || '.' || table_name, comment from duckdb_columns() where column_name = ?",
            [column],
        ).fetchall():
            named = [t.full_name for t in contract_of() if t.full_name in comment and t.full_name != table]
            assert named or table.startswith("reference."), f"{table}.{column}: {comment}"  # fmt: skip


def test_the_words_of_options_are_in_the_lookup(con):
    for column in ("variant", "scheme", "band_scheme"):
        silent = con.sql(
            f"select distinct {column} from analysis.coupling_summary anti join "
            f"(select code as {column} from reference.value_labels where column_name = '{column}') using ({column})"
        ).fetchall()
        assert silent == [], column


def test_an_attached_file_under_another_name_answers_too(published):
    # as a process of its own, as a reader opens it
    code = (
        "import duckdb, sys; con = duckdb.connect(); con.execute(f\"attach '{sys.argv[1]}' as w (read_only)\"); "
        "con.execute('use w'); print(con.sql('select count(*) from coordination()').fetchone()[0])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, published / "warehouse.duckdb"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(said.stdout) > 0

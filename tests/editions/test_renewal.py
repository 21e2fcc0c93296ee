"""The public edition is renewed for enough households and never for a few; what it was made from is remembered."""

import hmac
import stat

import duckdb
import pytest

from relocation_warehouse.contract.disclosure import disclosure_of
from relocation_warehouse.contract.tables import Contract
from relocation_warehouse.publication import renewal
from relocation_warehouse.publication.renewal import Origin, public_build, remember

NEEDED = disclosure_of().renewed_by
N = 2 * NEEDED + 5
NOTHING = Contract("1.0.0", ())
"""Its tables play no part in the decision."""


def analyst(path, **surveys):
    """An analyst edition of households of two waves, given by their answers; nobody where the answer is None."""
    with duckdb.connect(str(path)) as con:
        con.execute("create schema harmonized")
        con.execute(
            "create table harmonized.households"
            " (survey_id varchar, household_id varchar, wave varchar, region varchar, trust double)"
        )
        for survey, answers in surveys.items():
            rows = [
                (survey, f"h{number}", wave, "east", answer)
                for number, answer in enumerate(answers)
                if answer is not None
                for wave in ("before", "after")
            ]
            if rows:
                con.executemany("insert into harmonized.households values (?, ?, ?, ?, ?)", rows)
    return path


def households(n=N, other=0, new=0, gone=0):
    """Answers of a survey, of which so many households are other, new or gone than in the first edition."""
    return [*[None] * gone, *[5.0] * other, *[1.0] * (n - gone - other), *[1.0] * new]


SAME = households()


@pytest.fixture
def memory(tmp_path):
    """What is remembered of a first edition."""
    path = tmp_path / "kept" / "memory.duckdb"
    build, origin = public_build(
        analyst(tmp_path / "first.duckdb", hills=SAME, plains=SAME), path, NOTHING, Origin("first")
    )
    assert origin.run_id == "first"
    remember(build, path)
    assert not build.exists()
    return path


def edition_of(memory):
    with duckdb.connect(str(memory), read_only=True) as con:
        return con.execute("select origin, secret from remembered.edition").fetchone()


@pytest.mark.parametrize(
    ("hills", "plains", "waiting"),
    [
        (households(other=1), SAME, {"hills": 1}),
        (households(other=NEEDED - 1), SAME, {"hills": NEEDED - 1}),
        (households(gone=NEEDED - 1), SAME, {"hills": NEEDED - 1}),
        (households(new=NEEDED - 1), SAME, {"hills": NEEDED - 1}),
        (households(other=NEEDED - 3, new=1, gone=1), SAME, {"hills": NEEDED - 1}),
        (households(other=1), households(other=2), {"hills": 1, "plains": 2}),
        # enough in one survey does not show the few of another
        (households(other=1), households(other=NEEDED), {"hills": 1}),
        (households(other=NEEDED), SAME, {}),
        (households(gone=NEEDED), SAME, {}),
        (households(new=NEEDED), SAME, {}),
        (households(other=NEEDED - 2, new=1, gone=1), SAME, {}),
        (SAME, SAME, {}),
        # a survey that is withdrawn leaves at once
        (SAME, [], {}),
    ],
)
def test_an_edition_stays_while_few_households_changed(memory, tmp_path, hills, plains, waiting):
    now = analyst(tmp_path / "second.duckdb", hills=hills, plains=plains)
    build, origin = public_build(now, memory, NOTHING, Origin("second"))
    assert origin.waiting == waiting
    assert (build == memory, origin.run_id) == ((True, "first") if waiting else (False, "second"))
    remember(build, memory)
    assert memory.exists()


def test_a_survey_that_is_new_shows_at_once_unless_another_waits(memory, tmp_path):
    for name, hills, waiting in (("few", households(other=1), {"hills": 1}), ("none", SAME, {})):
        now = analyst(tmp_path / f"{name}.duckdb", hills=hills, plains=SAME, valley=households(3))
        assert public_build(now, memory, NOTHING, Origin("second"))[1].waiting == waiting


def test_small_changes_add_up_from_the_edition_that_was_shown(memory, tmp_path):
    for other, run in ((NEEDED - 1, "first"), (NEEDED, "second"), (NEEDED + 1, "second")):
        now = analyst(tmp_path / f"{other}.duckdb", hills=households(other=other), plains=SAME)
        build, origin = public_build(now, memory, NOTHING, Origin("second"))
        remember(build, memory)
        assert origin.run_id == run


def test_an_edition_is_compared_with_every_one_that_was_shown(memory, tmp_path):
    shown_by = "first"
    for number, (other, is_shown) in enumerate([(NEEDED, True), (1, False), (0, True), (NEEDED + 1, False)]):
        now = analyst(tmp_path / f"{number}.duckdb", hills=households(other=other), plains=SAME)
        shown_by = f"run {number}" if is_shown else shown_by
        build, origin = public_build(now, memory, NOTHING, Origin(f"run {number}"))
        remember(build, memory)
        assert origin.run_id == shown_by
        assert origin.waiting == ({} if is_shown else {"hills": 1})


def test_a_survey_that_comes_back_with_few_changes_waits(memory, tmp_path):
    for number, (plains, waiting) in enumerate((([], {}), (households(gone=1), {"plains": 1}), (SAME, {}))):
        now = analyst(tmp_path / f"{number}.duckdb", hills=SAME, plains=plains)
        build, origin = public_build(now, memory, NOTHING, Origin("later"))
        remember(build, memory)
        assert origin.waiting == waiting


def test_what_leaves_while_another_survey_waits_is_all_that_changes(memory, tmp_path):
    now = analyst(tmp_path / "second.duckdb", hills=households(other=1), plains=[], valley=SAME)
    build, origin = public_build(now, memory, NOTHING, Origin("second"))
    assert build != memory
    assert (origin.run_id, origin.waiting) == ("first", {"hills": 1})
    remember(build, memory)
    # the change adds up with what follows, and what is gone is remembered
    for other, run in ((NEEDED - 1, "first"), (NEEDED, "third")):
        now = analyst(tmp_path / f"{other}.duckdb", hills=households(other=other), valley=SAME)
        build, origin = public_build(now, memory, NOTHING, Origin("third"))
        assert (build == memory, origin.run_id) == (run == "first", run)


def test_without_a_memory_that_can_be_read_the_edition_is_new(memory, tmp_path):
    now = analyst(tmp_path / "second.duckdb", hills=households(other=1), plains=SAME)
    assert public_build(now, memory, NOTHING, Origin("second"))[1].run_id == "first"
    memory.write_bytes(b"cut off")
    assert public_build(now, memory, NOTHING, Origin("second"))[1].run_id == "second"


def test_the_secret_of_an_edition_without_a_key_stays_that_of_the_first(memory, tmp_path):
    _, secret = edition_of(memory)
    now = analyst(tmp_path / "second.duckdb", hills=households(other=NEEDED), plains=SAME)
    build, _ = public_build(now, memory, NOTHING, Origin("second"))
    assert secret
    assert edition_of(build)[1] == secret
    build, origin = public_build(now, memory, NOTHING, Origin("third"), key=b"of its owner")
    assert edition_of(build)[1] is None
    assert origin.made_at.endswith("+00:00")


def test_the_memory_is_its_owners_alone_and_what_a_killed_run_left_is_no_part_of_it(memory, tmp_path):
    assert stat.S_IMODE(memory.stat().st_mode) == 0o600
    left = memory.with_name(f"{memory.name}.new")
    for path in (left, left.with_name(f"{left.name}.wal")):
        path.write_bytes(b"cut off")
    now = analyst(tmp_path / "second.duckdb", hills=households(other=NEEDED), plains=SAME)
    build, _ = public_build(now, memory, NOTHING, Origin("second"))
    assert build == left
    assert stat.S_IMODE(build.stat().st_mode) == 0o600


def test_thresholds_come_from_the_key_and_without_one_from_the_answers(tmp_path, monkeypatch):
    """Who guesses the answers could make the thresholds of an edition whose key they do not have."""
    used = []
    monkeypatch.setattr(renewal, "write_public_build", lambda *arguments: used.append(arguments[4]))
    one, other = (
        analyst(tmp_path / f"{name}.duckdb", hills=households(other=n))
        for n, name in enumerate(("one", "other"))
    )
    for number, (edition, key) in enumerate(
        [(one, b"a key"), (one, b"a key"), (other, b"a key"), (one, b"another"), (one, None), (other, None)]
    ):
        public_build(edition, tmp_path / str(number) / "kept" / "memory.duckdb", NOTHING, Origin("run"), key)
    keyed, again, of_other_answers, of_another_key, *of_answers = used
    assert keyed == again == of_other_answers
    assert len({keyed, of_another_key, *of_answers}) == 4
    # for this purpose alone, and never for another: two roundings of one count tell more than one
    assert keyed == hmac.digest(b"a key", b"rounding of the public edition", "sha256")

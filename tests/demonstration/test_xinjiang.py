"""The made-up answers of southern Xinjiang, read back from the Kobo export, against the printed figures."""

from __future__ import annotations

import harmonised_surveys as surveys
import pandas as pd
import pytest

SURVEY = "xj_south_2019"
LITERATURE = pd.read_csv(surveys.DATA / "literature" / "statistics.csv").set_index("stat_id")["value"]


def mean(indicator: str, wave: str) -> float:
    return float(surveys.households(SURVEY, wave)[indicator].mean())


@pytest.mark.parametrize(
    ("indicator", "wave", "stat_id"),
    [
        ("has_greenhouse", "before", "XJ_0011"),
        ("has_greenhouse", "after", "XJ_0012"),
        ("has_livestock_shed", "before", "XJ_0013"),
        ("has_livestock_shed", "after", "XJ_0014"),
        ("obtained_loan", "before", "XJ_0015"),
        ("obtained_loan", "after", "XJ_0016"),
    ],
)
def test_printed_shares_to_the_decimal(indicator: str, wave: str, stat_id: str) -> None:
    assert surveys.households(SURVEY, wave)[indicator].notna().all()
    assert round(100 * mean(indicator, wave), 1) == float(LITERATURE[stat_id])


@pytest.mark.parametrize(("wave", "stat_id"), [("before", "XJ_0017"), ("after", "XJ_0018")])
def test_land_a_head_is_the_printed_figure_without_its_exponent(wave: str, stat_id: str) -> None:
    square_metres = mean("arable_land_per_capita_mu", wave) * 666.7
    assert square_metres == pytest.approx(10 * float(LITERATURE[stat_id]), abs=1)


@pytest.mark.parametrize(
    ("indicator", "sign"),
    [
        ("has_skills_training", 1),
        ("loan_difficulty", -1),
        ("neighbour_contact", -1),
        ("cooperative_member", 1),
        ("household_income_yuan", 1),
    ],
)
def test_direction_of_changes(indicator: str, sign: int) -> None:
    assert sign * (mean(indicator, "after") - mean(indicator, "before")) > 0


def test_schooling_changes_little() -> None:
    assert mean("education_years", "after") == pytest.approx(mean("education_years", "before"), abs=0.2)


def test_sample() -> None:
    frame = surveys.households(SURVEY, "after")
    assert len(frame) == 448
    assert (frame.site_id.value_counts() == 64).all()
    assert frame.site_id.nunique() == float(LITERATURE["XJ_0010"])
    assert frame.is_synthetic.all()


def test_arsai_has_one_greenhouse_and_one_shed_for_each_household() -> None:
    frame = surveys.households(SURVEY, "after")
    (arsai,) = [s for s in surveys.folder(SURVEY).survey.sites if s.households]
    assert arsai.households == float(LITERATURE["XJ_0040"])
    here = frame[frame.site_id == arsai.site_id]
    assert (here.greenhouses_and_sheds_count == 2).all()
    assert here.has_greenhouse.all()
    assert here.has_livestock_shed.all()


def test_industry_models_and_constraints_are_all_used() -> None:
    frame = surveys.households(SURVEY, "after")
    assert frame.industry_model.nunique() == float(LITERATURE["XJ_0046"])
    for constraint in ("constraint_employment", "constraint_land", "constraint_new_industry"):
        assert 0.1 < frame[constraint].mean() < 0.9


def test_no_income_from_work_that_nobody_found() -> None:
    frame = surveys.households(SURVEY, "after")
    works = (frame.factory_job == 1) | (frame.public_service_job == 1)
    assert (frame.new_monthly_income_yuan[works] > 0).all()
    assert (frame.new_monthly_income_yuan[~works] == 0).all()
    assert (frame.lease_income_yuan[frame.land_transferred_out == 1] > 0).all()


def test_every_member_belongs_to_a_household() -> None:
    files = {f.file_id: f for f in surveys.load(SURVEY).files}
    assert files["members"].quarantined == 0
    assert files["members"].received == surveys.households(SURVEY, "after").household_size.sum()


def test_planted_errors() -> None:
    result = surveys.quarantine(SURVEY)
    assert sorted(zip(result.column, result.value.astype(str), strict=True)) == [
        ("head/head_age", "203"),
        ("industry/model", "other"),
        ("members/years_now", "77"),
    ]
    (correction,) = surveys.folder(SURVEY).corrections
    row = surveys.households(SURVEY, "after").set_index("household_id").loc[correction.household_id]
    assert row.has_greenhouse == float(float(correction.replacement) > 0)

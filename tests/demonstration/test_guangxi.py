"""The made-up Guangxi workbook, read back from its three sheets."""

from __future__ import annotations

from datetime import datetime

import harmonised_surveys as surveys
import openpyxl
import pytest

from relocation_warehouse.survey.vocabulary import Rule

SURVEY = "gx_urban_rural_2024"
FRAME = surveys.households(SURVEY, "after")


def test_sample() -> None:
    assert len(FRAME) == 400
    assert FRAME.site_id.nunique() == 5
    assert FRAME.is_synthetic.all()
    assert {f.file_id: f.received - f.accepted for f in surveys.load(SURVEY).files} == {
        "households": 0,
        "members": 0,
        "policies": 0,
    }


def test_workbook_looks_as_filled_by_hand() -> None:
    """Title, merged upper header row, a note below, real dates, and digits typed as text."""
    workbook = openpyxl.load_workbook(surveys.folder(SURVEY).path / "guangxi_2024.xlsx")
    assert workbook.sheetnames == ["户", "成员", "政策"]
    sheet = workbook["户"]
    assert sheet.merged_cells.ranges
    assert sheet.cell(1, 1).value.startswith("广西")
    assert "虚构" in sheet.cell(sheet.max_row, 1).value
    dates = [c.value for c in sheet[4]]
    assert sum(isinstance(v, datetime) for v in dates) == 2
    position = [c.value for c in sheet[3]].index("家庭年收入（万元）")
    income = [row[position] for row in sheet.iter_rows(min_row=4, values_only=True)]
    assert {type(v) for v in income} >= {int, float, str}


@pytest.mark.parametrize(
    ("indicator", "low", "high"),
    [
        ("household_income_yuan", 6000, 85000),
        ("household_size", 1, 8),
        ("labour_force_count", 0, 8),
        ("nonfarm_workers_count", 0, 8),
        ("head_age_years", 22, 82),
        ("head_education", 0, 4),
        ("head_health", 1, 5),
        ("education_years", 0, 17),
        ("spatial_security", 1, 5),
    ],
)
def test_answers_arrive_in_the_units_of_the_catalog(indicator: str, low: float, high: float) -> None:
    assert FRAME[indicator].count() >= 390
    assert FRAME[indicator].between(low, high).sum() == FRAME[indicator].count()
    assert FRAME[indicator].nunique() > 2


def test_members_agree_with_the_household_sheet() -> None:
    files = {f.file_id: f for f in surveys.load(SURVEY).files}
    assert files["members"].received == FRAME.household_size.sum()
    assert (FRAME.nonfarm_workers_count <= FRAME.labour_force_count).all()
    assert ((FRAME.vocational_training_hours > 0) == (FRAME.has_skills_training == 1)).all()


def test_items_of_a_dimension_go_together() -> None:
    """Mean correlation of the oriented items of the integration dimensions."""
    for dimension in ("psychological", "communicative"):
        items = [
            i.id
            for i in surveys.catalog().indicators
            if (i.dimension, i.type, i.direction) == (dimension, "ordinal", "benefit")
            and surveys.folder(SURVEY).rows_of("after")[i.id].rule is not Rule.NOT_ASKED
        ]
        R = FRAME[items].corr().to_numpy()
        k = len(items)
        assert (R.sum() - k) / (k * (k - 1)) == pytest.approx(0.4, abs=0.05)


def test_every_construct_of_the_two_papers_that_the_catalog_has_is_asked() -> None:
    """No indicator of the urban-rural system, which stems from these papers, goes unasked."""
    rows = surveys.folder(SURVEY).rows_of("after")
    unasked = [
        i.id
        for i in surveys.catalog().indicators
        if i.system == "urban_rural" and rows[i.id].rule is Rule.NOT_ASKED
    ]
    assert unasked == []


def test_planted_errors() -> None:
    result = surveys.quarantine(SURVEY)
    assert sorted(result.value.astype(str)) == ["230", "不清楚", "约3.5"]
    (correction,) = surveys.folder(SURVEY).corrections
    row = FRAME.set_index("household_id").loc[correction.household_id]
    assert row.housing_area_m2 == float(correction.replacement)

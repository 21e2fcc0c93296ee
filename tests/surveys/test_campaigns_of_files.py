"""A share of the campaigns over files; `make campaign-formats` and `make campaign-fuzz` run them whole."""

import campaign_formats
import campaign_fuzz


def test_tables_drawn_at_random_come_back_cell_by_cell():
    counts, faults = campaign_formats.run(105, seed=20)
    assert faults == []
    assert counts["cells"] > 1000
    assert counts["loaded"] >= 8


def test_damaged_surveys_end_in_an_answer():
    counts, faults = campaign_fuzz.run(57, seed=20)
    assert faults == []
    assert sum(counts.values()) == 57

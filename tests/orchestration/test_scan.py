"""What one scan counts is what Great Expectations counts on the frame itself."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations import runner
from expectations.runner import Expectation, run_suite
from expectations.scan import Scan
from relocation_warehouse.ground.kept import Kept

SUITE = tuple(
    Expectation(kind, kwargs, "warning")
    for kind, kwargs in [
        ("expect_table_row_count_to_be_between", {"min_value": 3}),
        ("expect_table_columns_to_match_set", {"column_set": ["a", "b"], "exact_match": True}),
        ("expect_column_mean_to_be_between", {"column": "a", "min_value": 0.5, "max_value": 2}),
        ("expect_column_values_to_not_be_null", {"column": "a"}),
        ("expect_column_values_to_not_be_null", {"column": "b", "mostly": 0.5}),
        ("expect_column_values_to_be_between", {"column": "a", "min_value": 1, "max_value": 2.5}),
        ("expect_column_values_to_be_between", {"column": "n", "max_value": 2, "mostly": 0.7}),
        ("expect_column_values_to_be_in_set", {"column": "b", "value_set": ["x", "z"]}),
        ("expect_column_values_to_be_unique", {"column": "a"}),
        ("expect_column_values_to_be_unique", {"column": "b"}),
        ("expect_compound_columns_to_be_unique", {"column_list": ["a", "b"]}),
    ]
)
NUMBERS = st.sampled_from([0.0, 1.0, 2.0, 2.5, 3.0, float("nan"), float("inf")])
ROWS = st.lists(
    st.tuples(NUMBERS, st.sampled_from(["x", "y", "z", None]), st.integers(0, 4)), min_size=1, max_size=8
)


def frame_of(rows):
    a, b, n = zip(*rows, strict=True)
    categories = pd.Categorical(b, categories=["x", "y", "z"])
    return pd.DataFrame({"a": np.array(a), "b": categories, "n": np.array(n, dtype=np.int64)})


@settings(max_examples=25, deadline=None)
@given(rows=ROWS)
def test_both_ways_say_the_same(rows):
    frame = frame_of(rows)
    scan = Scan(frame)
    assert all(scan.metrics(e.type, e.kwargs) is not None for e in SUITE)
    assert list(run_suite("scan", SUITE, frame)) == runner._by_frame("frame", SUITE, frame)


@pytest.mark.parametrize(
    ("kind", "kwargs"),
    [
        ("expect_column_values_to_match_regex", {"column": "b", "regex": "x"}),
        ("expect_column_values_to_be_between", {"column": "a", "min_value": 1, "strict_min": True}),
        ("expect_column_values_to_be_between", {"column": "b", "min_value": 1}),
        ("expect_column_values_to_be_in_set", {"column": "n", "value_set": [1, 2]}),
        ("expect_column_values_to_be_in_set", {"column": "b", "value_set": [1]}),
        ("expect_column_values_to_not_be_null", {"column": "absent"}),
    ],
)
def test_what_a_scan_does_not_know_is_left_to_great_expectations(kind, kwargs):
    assert Scan(frame_of([(1.0, "x", 1)])).metrics(kind, kwargs) is None


def test_outcomes_of_the_same_data_are_kept_and_of_other_data_are_not(tmp_path, monkeypatch):
    kept, rows = Kept(tmp_path), [(1.0, "x", 1), (2.0, "y", 2), (2.0, "y", 3)]
    first = run_suite("suite", SUITE, frame_of(rows), kept)
    assert first == run_suite("suite", SUITE, frame_of(rows))
    decided = []
    real = runner._outcomes
    monkeypatch.setattr(runner, "_outcomes", lambda *given: decided.append(1) or real(*given))
    assert run_suite("suite", SUITE, frame_of(rows), kept) == first
    assert not decided
    # a word of which nothing is expected: what was counted is the same
    other = frame_of([rows[0], (2.0, "x", 2), (2.0, None, 3)])
    assert run_suite("suite", SUITE[:4], other, kept) == first[:4]
    assert run_suite("suite", SUITE[:4], frame_of(rows), kept) == first[:4]
    assert decided == [1]
    changed = frame_of([*rows[:2], (3.0, "y", 3)])
    assert run_suite("suite", SUITE, changed, kept) == run_suite("suite", SUITE, changed)
    assert run_suite("suite", SUITE[:5], frame_of(rows), kept) == first[:5]
    (entry, *_) = (tmp_path / "expectations").iterdir()
    for path in (tmp_path / "expectations").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    decided.clear()
    assert run_suite("suite", SUITE, frame_of(rows), kept) == first
    assert len(decided) == 1
    assert entry.exists()

"""A small sample of `equal_regions`: published tables of two equal regions, and a reason for whatever they lack."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from equal_regions import SIZES, EqualRegions, counted, table


@pytest.mark.slow
def test_published_tables_seldom_tell_equal_regions_apart(refreshed: Path, tmp_path: Path) -> None:
    build = refreshed / "warehouse" / "build.duckdb"
    regions = EqualRegions(build, "gx_urban_rural_2024", tmp_path)
    outcomes: defaultdict[str, list[float]] = defaultdict(list)
    for kind, outcome in counted(regions.drawn(np.random.default_rng(3), SIZES[0]), regions.everybody(200)):
        outcomes[kind].append(outcome)
    for kind in ("p of welch: all indicators", "interval of region_comparison", "interval of coupling_bands"):
        told = np.array(outcomes[kind])[~np.isnan(outcomes[kind])]
        assert len(told) > 20, kind
        # metrics of one pair hang together: a pair may be unlucky in many of them
        assert told.mean() < 0.3, kind
    assert {"p of chow", "p of wald", "p of oaxaca", "interval of poverty: H"} <= set(outcomes)
    assert "interval of coupling_bands" in table(outcomes)

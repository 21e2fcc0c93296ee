"""What stays loaded is not looked through for garbage; what comes later is."""

import gc

import pytest

from relocation_warehouse.ground.garbage import kept_loaded


@pytest.fixture(autouse=True)
def thawed():
    yield
    gc.unfreeze()
    gc.enable()


def test_what_is_loaded_is_not_looked_through():
    before = gc.get_freeze_count()
    with kept_loaded():
        assert not gc.isenabled()
        with kept_loaded():
            loaded = [[] for _ in range(1000)]
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(loaded)


def test_a_failure_to_load_leaves_the_search_on():
    with pytest.raises(ImportError), kept_loaded():
        raise ImportError
    assert gc.isenabled()

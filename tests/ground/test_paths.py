import stat

import pytest

from relocation_warehouse.ground.paths import Paths


@pytest.mark.parametrize("mode", [None, 0o755, 0o777, 0o700])
def test_folders_with_what_people_answered_are_their_owners_alone(tmp_path, mode):
    paths = Paths.under(tmp_path / "data")
    if mode is not None:
        for folder in (paths.landing, paths.warehouse):
            folder.mkdir(parents=True)
            folder.chmod(mode)
    paths.make()
    assert {stat.S_IMODE(f.stat().st_mode) & 0o077 for f in (paths.landing, paths.warehouse)} == {0}
    # analysts read what is published
    assert paths.published.is_dir()

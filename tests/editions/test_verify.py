import json
import shutil

import pytest
from made_up_build import small_contract
from typer.testing import CliRunner

from relocation_warehouse.command.cli import app
from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.ground.state import State
from relocation_warehouse.publication.audit import AuditResult
from relocation_warehouse.publication.publish import RunInfo, publish
from relocation_warehouse.publication.verify import summed_up, what_changed


def published(build, folder):
    return publish(build, folder, small_contract(), AuditResult(()), RunInfo("a run"), report=None)


@pytest.fixture
def version(sound_build, tmp_path):
    """A published version: its folder and the sha256 of its manifest."""
    folder = tmp_path / "published"
    return folder, published(sound_build, folder).manifest_sha256


def edit(path):
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def replace(path, make):
    path.unlink()
    make(path)


DAMAGES = {
    "deleted": shutil.rmtree,
    "without versions": lambda folder: shutil.rmtree(folder / ".versions"),
    "a bit of the database": lambda folder: edit(folder / "warehouse.duckdb"),
    "a bit of a file of the public edition": lambda folder: edit(folder / "public" / "data_dictionary.xlsx"),
    "the manifest": lambda folder: edit(folder / "manifest.json"),
    "the manifest of the public edition": lambda folder: edit(folder / "public" / "manifest.json"),
    "a file less": lambda folder: next((folder / "csv").resolve().glob("*.csv")).unlink(),
    "a link less": lambda folder: (folder / "csv").unlink(),
    "a file in place of a link": lambda folder: replace(
        folder / "warehouse.duckdb", lambda p: p.write_bytes(b"other")
    ),
    "a folder in place of a link": lambda folder: replace(
        folder / "parquet", lambda p: (p / "x").mkdir(parents=True)
    ),
    "a manifest that is no JSON": lambda folder: (
        (folder / "manifest.json").resolve().chmod(0o644),
        (folder / "manifest.json").write_text("{", encoding="utf-8"),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_lost_or_changed_is_noticed_and_published_again(version, sound_build, damage):
    folder, manifest = version
    assert what_changed(folder, manifest) == []
    DAMAGES[damage](folder)
    assert what_changed(folder, manifest)
    again = published(sound_build, folder)
    assert what_changed(folder, again.manifest_sha256) == []


def test_a_bit_of_any_published_file_is_noticed_by_its_name(version):
    folder, manifest = version
    files = [p for p in (folder / ".current").resolve().rglob("*") if p.is_file()]
    assert len(files) > 40
    for path in files:
        whole, mode = path.read_bytes(), path.stat().st_mode
        edit(path)
        (said, *_) = what_changed(folder, manifest)
        assert said.split()[0] in path.as_posix(), said
        path.write_bytes(whole)
        path.chmod(mode)
    assert what_changed(folder, manifest) == []


def test_status_and_refresh_say_what_became_of_the_published_version(version, monkeypatch):
    folder, manifest = version
    data = folder.parent
    for name in ("catalog", "literature"):
        (data / name).symlink_to(CHECKOUT / "data" / name)
    (data / "surveys").mkdir()
    monkeypatch.setenv("WAREHOUSE_DATA", str(data))
    with State.updated(Paths.from_environment()) as state:
        state.was_published(manifest)

    def said(command):
        done = CliRunner().invoke(app, [command])
        return " ".join((done.stdout + done.stderr).split())

    assert "nothing changed since the last refresh" in said("refresh")
    assert "what is published is not" not in said("status")
    edit(folder / "public" / "manifest.json")
    notice = "public/manifest.json was changed"
    assert f"what is published is not what was published: {notice}" in said("status")
    again = said("refresh")
    assert "nothing changed" not in again
    assert f"published again: {notice}" in again


def test_a_version_that_is_not_known_is_not_judged(tmp_path):
    assert what_changed(tmp_path / "nothing", "") == []


def test_another_version_than_the_one_remembered_is_noticed(version, sound_build):
    folder, manifest = version
    publish(sound_build, folder, small_contract(), AuditResult(()), RunInfo("another run"), report=None)
    assert what_changed(folder, manifest) == ["manifest.json is not the one that was published"]
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["run_id"] == "another run"


def test_a_message_names_three_changes_and_counts_the_rest():
    assert summed_up(["a", "b", "c", "d", "e"]) == "a; b; c; and 2 more"
    assert summed_up(["a"]) == "a"

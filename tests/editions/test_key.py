import base64
import secrets
import stat

import pytest
from typer.testing import CliRunner

from relocation_warehouse.command.cli import app
from relocation_warehouse.publication.key import (
    FILE_VARIABLE,
    KEY_VARIABLE,
    LEAST_BITS,
    ChangedKeyError,
    WeakKeyError,
    bits,
    fingerprint,
    key_from_environment,
    make_key,
    require_same_key,
)


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)


@pytest.mark.parametrize(
    "key",
    [
        *("k", " ", "abc", "change-me", "secret", "0", "password" * 12, "a" * 200, "0123456789abcdef" * 4),
        *("abcdefghijklmnopqrstuvwxyz0123456789" * 2, "the quick brown fox jumps over the lazy dog again"),
        *("1234567890" * 4, "0f" * 40, "f3a91c0be7d24856"),
    ],
)
def test_a_key_that_can_be_guessed_is_refused(monkeypatch, key):
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(WeakKeyError, match="warehouse make-key") as refusal:
        key_from_environment()
    assert len(key) < 10 or key not in str(refusal.value)


@pytest.mark.parametrize(
    "drawn",
    [
        lambda: secrets.token_hex(32),
        lambda: secrets.token_urlsafe(32),
        lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
        lambda: base64.b32encode(secrets.token_bytes(32)).decode(),
    ],
)
def test_a_key_drawn_at_random_is_taken(drawn):
    # one in thousands may look like words by chance; whoever draws it draws another
    assert sum(bits(drawn()) >= LEAST_BITS for _ in range(500)) >= 498


def test_keys_of_exactly_enough_bits_are_taken_nearly_always():
    assert sum(bits(secrets.token_hex(16)) >= LEAST_BITS for _ in range(1000)) > 950


def test_a_key_that_is_made_is_its_owners_alone_and_is_never_overwritten(monkeypatch, tmp_path):
    path = tmp_path / "of the warehouse" / "keys" / "pseudonym.key"
    done = CliRunner().invoke(app, ["make-key", str(path)])
    assert done.exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    made = path.read_text(encoding="ascii").strip()
    assert made not in done.output
    assert bits(made) >= 2 * LEAST_BITS - 40
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    assert key_from_environment() == made.encode()
    assert CliRunner().invoke(app, ["make-key", str(path)]).exit_code == 1
    assert path.read_text(encoding="ascii").strip() == made


def test_a_file_that_others_can_read_is_refused(monkeypatch, tmp_path):
    path = tmp_path / "pseudonym.key"
    make_key(path)
    path.chmod(0o640)
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    with pytest.raises(WeakKeyError, match=f"chmod 600 {path}"):
        key_from_environment()


def test_a_file_that_is_not_there_is_refused_and_not_taken_for_no_key(monkeypatch, tmp_path):
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "lost.key"))
    with pytest.raises(WeakKeyError, match="cannot be read"):
        key_from_environment()


def test_without_a_key_there_is_none():
    assert key_from_environment() is None


def test_another_key_is_known_by_its_fingerprint():
    keys = [secrets.token_hex(32).encode() for _ in range(200)]
    prints = [fingerprint(key) for key in keys]
    assert len(set(prints)) == len(keys)
    assert not any(told in key.decode() for told, key in zip(prints, keys, strict=True))
    for key, told in zip(keys, prints, strict=True):
        require_same_key(key, told)
        require_same_key(key, "")
        require_same_key(None, told)
    with pytest.raises(
        ChangedKeyError, match=r"Set the former secret again; .* `warehouse refresh --new-key`"
    ):
        require_same_key(keys[0], prints[1])


def test_a_fingerprint_is_that_of_every_version():
    # it is kept beside what was published: made otherwise, the right key would be refused for another one
    assert fingerprint(b"of its owner") == "93284a7349f85422"
    assert fingerprint(None) == ""

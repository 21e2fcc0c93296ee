"""The secret behind pseudonyms and the rounding of the public edition: made, found, and refused where it is weak.

Belongs here: the key itself. Does not belong here: what is made with it (`pseudonyms`, `renewal`).
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import re
import secrets
from itertools import pairwise
from pathlib import Path

from relocation_warehouse.ground.paths import OTHERS

KEY_VARIABLE = "WAREHOUSE_PSEUDONYM_KEY"
"""Environment variable with the secret. Without it made-up surveys keep their ids and real ones are refused."""

FILE_VARIABLE = "WAREHOUSE_PSEUDONYM_KEY_FILE"
"""Environment variable with the path of a file that holds the secret instead; the other one goes before it."""

KEY_BYTES = 32
"""Random bytes of a key that is made here."""

LEAST_BITS = 128
"""A key that is easier to guess is refused: whoever guesses it turns every pseudonym back into an id."""

ENCODINGS = (
    (re.compile(r"[0-9]+"), 10),
    (re.compile(r"(?=.*[0-9].*[0-9])([0-9a-f]+|[0-9A-F]+)"), 16),
    (re.compile(r"[A-Z2-7]{26,}=*"), 32),
)
"""How random bytes are written down, and of how many characters."""

PRINTABLE = 64
"""Characters that any other key is drawn from, at most."""

MOST_IN_RUNS = 0.25
"""Share of a key that goes on as it began."""

WORD = re.compile(r"[a-z]+|[A-Z]+")
LONGEST_WORDS = 3.2
"""Letters of one case in a row, on average; drawn at random they are under two."""

BITS_OF_A_LETTER = 1.5
"""What a letter of a text in words adds; English has between 1.0 and 1.5 (Shannon 1951)."""


class MissingKeyError(Exception):
    """A real survey is to be published without a secret to pseudonymise it with."""


class WeakKeyError(MissingKeyError):
    """There is a secret, but it can be guessed or others can read it."""


class ChangedKeyError(MissingKeyError):
    """There is a secret, but what is published was made with another one."""


PURPOSE = b"fingerprint of the key"
"""Keeps the fingerprint apart from pseudonyms and thresholds, which are made with the same key."""


def fingerprint(key: bytes | None) -> str:
    """What a key is known again by; it tells nothing of a key that cannot be guessed. Empty where there is none."""
    return "" if key is None else hmac.new(key, PURPOSE, hashlib.sha256).hexdigest()[:16]


def require_same_key(key: bytes | None, former: str) -> None:
    """Refuse another key than the one whose fingerprint is remembered: every household would get another pseudonym.

    Raises
    ------
    ChangedKeyError
        The key is another one. No key at all is refused elsewhere, where a survey is real.
    """
    if key is not None and former and fingerprint(key) != former:
        raise ChangedKeyError(
            f"the secret in {KEY_VARIABLE} or {FILE_VARIABLE} is not the one that what is published was made with: "
            f"every household would get another pseudonym (fingerprint {fingerprint(key)}, before {former}). Set the "
            "former secret again; where it is to be replaced, `warehouse refresh --new-key`"
        )


def make_key(path: Path) -> None:
    """Write a new key into a file that only its owner can read; an existing file stays.

    Raises
    ------
    FileExistsError
        If there is a file already: a key that is lost cannot be made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())


def key_from_environment() -> bytes | None:
    """The secret, or None where none is set.

    Raises
    ------
    WeakKeyError
        If the secret can be guessed, or the file that holds it can be read by others or not at all.
    """
    key, path = os.environ.get(KEY_VARIABLE), os.environ.get(FILE_VARIABLE)
    if not key and path:
        key = _kept(Path(path))
    if not key:
        return None
    n_bits = bits(key)
    if n_bits < LEAST_BITS:
        raise WeakKeyError(
            f"the secret in {KEY_VARIABLE} can be guessed (about {n_bits:.0f} bits, {LEAST_BITS} are needed): make one"
            " with `warehouse make-key`"
        )
    return key.encode()


def _kept(path: Path) -> str:
    try:
        if path.stat().st_mode & OTHERS:
            raise WeakKeyError(f"{path} ({FILE_VARIABLE}) can be read by others: chmod 600 {path}")
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WeakKeyError(f"{path} ({FILE_VARIABLE}) cannot be read: {error}") from error


def bits(key: str) -> float:
    """About how many bits a key has, so that one made at random passes and one made up by a person does not.

    What is repeated counts once, runs such as "abcd" and texts in words count little, and everything else by the
    alphabet that it is drawn from.
    """
    text = key.strip()
    text = text[: (text + text).find(text, 1)]
    if len(text) < 2:
        return 0.0
    words = [len(word) for word in WORD.findall(text)]
    steps = [ord(b) - ord(a) for a, b in pairwise(text)]
    in_runs = sum(a == b and abs(a) < 2 for a, b in pairwise(steps)) / len(text)
    drawn_from = next((n for form, n in ENCODINGS if form.fullmatch(text)), None)
    if in_runs > MOST_IN_RUNS or (drawn_from is None and sum(words) > LONGEST_WORDS * len(words)):
        return len(text) * BITS_OF_A_LETTER
    # a key of few different characters is drawn from these, and at random misses some of its alphabet
    return len(text) * min(math.log2(drawn_from or PRINTABLE), 1.25 * math.log2(len(set(text))))

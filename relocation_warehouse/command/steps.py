"""What a refresh is doing: each step with its time, and how much of the whole is done.

The share is that of the seconds which the same steps took last time; a step that was never timed counts as one second.
Belongs here: times and shares. Does not belong here: how they are shown (`cli`), or what a step does.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = "steps.json"
UNKNOWN_SECONDS = 1.0
"""Expected of a step that was never timed."""
WEIGHT_OF_LAST = 0.5
"""Weight of the last time among those before."""


@dataclass(frozen=True)
class Step:
    """A step that began or ended.

    Attributes
    ----------
    step
        Name, as in the run of the Dagster UI.
    elapsed_seconds
        Since the refresh began.
    seconds
        How long it took; None where it has just begun.
    share
        Of the whole refresh that is done, from 0 to 1.
    """

    step: str
    elapsed_seconds: float
    seconds: float | None
    share: float

    @property
    def event(self) -> dict[str, Any]:
        """The step for a program."""
        numbers = {k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return {"event": "began" if self.seconds is None else "ended", **numbers}

    def __str__(self) -> str:
        took = "" if self.seconds is None else f" {self.seconds:.1f} s"
        return f"{self.step.replace('__', '.')}{took} ({self.share:.0%} after {self.elapsed_seconds:.0f} s)"


class Steps:
    """Steps of one refresh, reported as they begin and end.

    Parameters
    ----------
    folder
        Where times of the steps are remembered.
    tell
        Called with each step.
    clock
        Seconds that never run backwards.
    """

    def __init__(
        self, folder: Path, tell: Callable[[Step], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file, self._tell, self._clock = folder / FILE, tell, clock
        self._began = clock()
        self._expected: dict[str, float] = {}
        with suppress(OSError, ValueError, AttributeError, TypeError):
            known = json.loads(self._file.read_text(encoding="utf-8"))
            self._expected = {str(name): float(seconds) for name, seconds in known.items()}
        self._waiting: Counter[str] = Counter()
        self._running: dict[str, float] = {}
        self._done = 0.0

    def expect(self, names: Iterable[str]) -> None:
        """Say which steps are to come."""
        self._waiting.update([*names])

    def began(self, name: str) -> None:
        """A step begins."""
        self._running[name] = self._clock()
        self._say(name, None)

    def ended(self, name: str) -> None:
        """A step has ended, however."""
        seconds = self._clock() - self._running.pop(name, self._clock())
        self._done += self._seconds(name)
        self._waiting[name] = max(0, self._waiting[name] - 1)
        self._say(name, seconds)
        before = self._expected.get(name, seconds)
        self._expected[name] = before + WEIGHT_OF_LAST * (seconds - before)

    def remember(self) -> None:
        """Keep the times for the next refresh; where that fails, its shares are guesses."""
        fresh = self._file.with_suffix(".new")
        with suppress(OSError):
            fresh.write_text(json.dumps(self._expected, indent=1), encoding="utf-8")
            fresh.replace(self._file)

    def _seconds(self, name: str) -> float:
        return self._expected.get(name, UNKNOWN_SECONDS)

    def _say(self, name: str, seconds: float | None) -> None:
        left = sum(n * self._seconds(waiting) for waiting, n in self._waiting.items())
        whole = self._done + left
        self._tell(Step(name, self._clock() - self._began, seconds, self._done / whole if whole else 0.0))

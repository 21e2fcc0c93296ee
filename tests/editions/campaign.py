"""Disturb publications and refreshes on purpose: kills at random moments, full disks, missing permissions, cut files.

`make campaign` runs it at length; the tests run each kind of disturbance a few times. After every one of them the
published version must be the old or the new one, whole, and the next undisturbed run must give the very contents of
a warehouse that was never disturbed. Belongs here: disturbing and judging. Does not belong here: what is published.
"""

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, nullcontext
from pathlib import Path

import duckdb
import refresh_child
from daemon import UNFINISHED, Daemon
from made_up_build import build, contract

from relocation_warehouse.ground.paths import CHECKOUT, Paths
from relocation_warehouse.publication.audit import AuditResult
from relocation_warehouse.publication.publish import PublicationFailed, RunInfo, publish

WAREHOUSE = Path(sys.executable).with_name("warehouse")
IN_A_ROW = 5
"""How many refreshes are killed, each in what it recovers of the one before, until one may come to its end."""
ENDINGS = {
    signal.SIGKILL: (0, -signal.SIGKILL),
    signal.SIGTERM: (0, 1, 130, -signal.SIGTERM, -signal.SIGKILL),
    signal.SIGINT: (0, 1, 130, -signal.SIGKILL),
}
"""How a refresh may end after each signal: well, saying that it was interrupted, or by the signal itself."""
GRACE = 60
"""Seconds after which one that was asked to end is made to."""
LEFT_ALONE = {"catalog", "literature", "surveys", "published", "inbox"}
"""Folders of a warehouse that hold no intermediate file."""
SPOILT = (b"", b"{}", b"[]", b"null", b"\xff\xfe\x00", b'{"surveys": 3}', b'{"surveys": {"x": []}}')
"""What a file of the state may hold after somebody or something wrote over it."""
CODE = ("relocation_warehouse", "dagster_project", "dbt/models", "dbt/macros", "expectations")
"""Folders with what a refresh runs."""

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["relocation_warehouse.publication.publish", "made_up_build", "refresh_child"]
)


def contents(published):
    """Content checksums of the published version, after checking that it is whole and opens."""
    manifest = json.loads((published / "manifest.json").read_text(encoding="utf-8"))
    root = (published / ".current").resolve()
    for edition in (root, root / "public"):
        said = json.loads((edition / "manifest.json").read_text(encoding="utf-8"))["files"]
        present = {
            p.relative_to(edition).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in edition.rglob("*")
            if p.is_file() and p != edition / "manifest.json"
        }
        assert present == {name: file["sha256"] for name, file in said.items()}
        with duckdb.connect(str(edition / "warehouse.duckdb"), read_only=True) as con:
            for (name,) in con.execute(
                "SELECT DISTINCT schema_name || '.' || table_name FROM duckdb_columns() WHERE NOT internal"
            ).fetchall():
                con.execute(f"SELECT bit_xor(hash(COLUMNS(*))) FROM {name}").fetchall()
    return {name: table["content_checksum"] for name, table in manifest["tables"].items()}


# ---- the publishing step alone ----------------------------------------------------------------------------------


def publish_all(database, published):
    """Publish everything of the contract but the report, undisturbed."""
    publish(database, published, contract(), AuditResult(()), RunInfo("run"), report=None)
    return contents(published)


def _publish_in_child(started, database, published):
    started.send(None)
    publish_all(database, published)


class Step:
    """Two builds that take turns, so that the old and the new version differ."""

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.published = folder / "published"
        self.builds = [build(folder / f"build{k}.duckdb", seed=k) for k in (1, 2)]
        self.undisturbed = []
        for database in self.builds:
            started = time.monotonic()
            self.undisturbed.append(publish_all(database, folder / f"{database.stem}-published"))
            self.seconds = time.monotonic() - started
        assert self.undisturbed[0] != self.undisturbed[1]
        publish_all(self.builds[0], self.published)
        self.turn = 0

    def kill_once(self, rng):
        """Kill a publication at a random moment; tell whether the old or the new version is visible."""
        old, self.turn = self.turn, 1 - self.turn
        told, started = PROCESSES.Pipe(duplex=False)
        child = PROCESSES.Process(
            target=_publish_in_child,
            args=(started, self.builds[self.turn], self.published),
        )
        child.start()
        started.close()
        told.recv()  # ends with an error where the child ended before it began
        child.join(rng.uniform(0, self.seconds))
        child.kill()
        child.join()
        assert child.exitcode in (0, -signal.SIGKILL), "the publication failed by itself"
        seen = contents(self.published)
        assert seen in (self.undisturbed[old], self.undisturbed[self.turn])
        self.converge()
        return "old" if seen == self.undisturbed[old] else "new"

    def converge(self):
        """An undisturbed publication gives what was never disturbed, and keeps two versions at most."""
        publish_all(self.builds[self.turn], self.published)
        assert contents(self.published) == self.undisturbed[self.turn]
        assert len([p for p in (self.published / ".versions").iterdir() if p.is_dir()]) <= 2

    def fail(self, disturbance):
        """Publish in a process of its own under `disturbance`; it must say so plainly and leave the old version."""
        done = subprocess.run(
            [*disturbance, sys.executable, __file__, "--publish", self.builds[1 - self.turn], self.published],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3, done.stderr[-3000:]
        assert "The version published before stays" in done.stdout
        assert contents(self.published) == self.undisturbed[self.turn]
        return done.stdout

    def fill_the_disk(self, megabytes):
        """Publish onto a disk of a few megabytes, or, without the right to mount one, with a limit to file size."""
        forget_versions_before(self.published)
        if can_mount():
            with small_disk(self.published, megabytes):
                return self.fail([])
        return self.fail(["sh", "-c", f'ulimit -f {megabytes * 2048}; exec "$@"', "sh"])

    def withdraw_permission(self):
        """Publish into a folder that may not be written to."""
        versions = self.published / ".versions"
        versions.chmod(0o555)
        try:
            # root may write everywhere unless it gives up its capabilities
            return self.fail(
                ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
            )
        finally:
            versions.chmod(0o755)


def forget_versions_before(published):
    """Remove all versions but the current one: they would give their room to the next."""
    for version in (published / ".versions").iterdir():
        if version.is_dir() and version != (published / ".current").resolve():
            shutil.rmtree(version)


def can_mount():
    """Whether this process may mount a disk."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder]
        if (
            shutil.which("mount") is None
            or subprocess.run(mount, capture_output=True, check=False).returncode
        ):
            return False
        subprocess.run(["umount", folder], check=True)
        return True


@contextmanager
def small_disk(folder, megabytes, still=nullcontext()):  # noqa: B008 - it holds nothing
    """Put `folder` onto a disk that has `megabytes` left; what lies there afterwards stays, without the limit.

    Whoever reads there takes `still` for each look, for the folder is moved under it at the beginning and the end.
    """
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    before, after = (folder.with_name(f"{folder.name}.{when}") for when in ("before", "after"))
    with still:
        folder.rename(before)
        folder.mkdir()
        options = f"size={size + megabytes * 2**20 + 2**20}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        shutil.copytree(before, folder, symlinks=True, dirs_exist_ok=True)
    try:
        yield
    finally:
        with still:
            shutil.copytree(folder, after, symlinks=True)
            while subprocess.run(["umount", folder], capture_output=True, check=False).returncode:
                time.sleep(0.5)  # the daemon's sensor has a look
            folder.rmdir()
            after.rename(folder)
            shutil.rmtree(before)


# ---- whole refreshes --------------------------------------------------------------------------------------------


class Refreshes:
    """A warehouse of one survey whose survey.yml takes turns between two places of field work."""

    def __init__(self, folder):
        self.data, self.still, self.daemon = folder / "data", PROCESSES.Lock(), None
        self.environment = {"WAREHOUSE_DATA": str(self.data), "DAGSTER_HOME": str(folder / "dagster")}
        (folder / "dagster").mkdir(parents=True)
        shutil.copy(CHECKOUT / ".dagster" / "dagster.yaml", folder / "dagster")
        (self.data / "surveys").mkdir(parents=True)
        for name in ("catalog", "literature"):
            (self.data / name).symlink_to(CHECKOUT / "data" / name)
        survey = min(
            (p.parent for p in (CHECKOUT / "data" / "surveys").glob("*/answers.csv")),
            key=lambda p: sum(f.stat().st_size for f in p.rglob("*") if f.is_file()),
        )
        shutil.copytree(survey, self.data / "surveys" / survey.name)
        self.declaration = self.data / "surveys" / survey.name / "survey.yml"
        self.answers = self.declaration.with_name("answers.csv")
        self.inbox = self.data / "inbox" / survey.name / self.answers.name
        self.turn, self.undisturbed, self.started = 0, {}, 0
        self.code = folder / "code"
        for turn in (0, 1, 0):  # the first refresh of a warehouse takes longer than those to be disturbed
            self.set_turn(turn)
            started = time.monotonic()
            self.refresh()
            self.seconds = time.monotonic() - started
            self.undisturbed[turn] = contents(self.data / "published")
        assert self.undisturbed[0] != self.undisturbed[1]

    def set_turn(self, turn):
        """Let the survey say another place."""
        self.turn = turn
        text = self.declaration.read_text(encoding="utf-8")
        changed = re.sub(r"(?m)^place: .*$", f"place: {{en: version {turn}, zh: 第 {turn} 版}}", text)
        self.declaration.write_text(changed, encoding="utf-8")

    def start(self, said="said"):
        """A refresh in a process of its own that has loaded its libraries before it starts."""
        self.started += 1
        child = PROCESSES.Process(
            target=refresh_child.refresh, args=(self.environment, self.data.parent / said)
        )
        child.start()
        return child

    def refresh(self):
        """An undisturbed refresh."""
        child = self.start()
        child.join()
        assert child.exitcode == 0, self.said()[-3000:]

    def said(self, name="said"):
        """What the last refresh wrote for people: sentences, whatever happened to it."""
        text = (self.data.parent / name).read_text(encoding="utf-8")
        assert "Traceback" not in text, text[-3000:]
        return text

    def at_once(self):
        """Start two refreshes at the same time: one waits for the other and says so, and both end well."""
        self.set_turn(1 - self.turn)
        names = ("said first", "said second")
        children = [self.start(name) for name in names]
        for child in children:
            child.join()
        said = [self.said(name) for name in names]
        assert [child.exitcode for child in children] == [0, 0], said
        assert sum(text.count("waiting for ") for text in said) <= (2 if self.daemon else 1)
        self.shows(self.undisturbed)
        return "waited" if any("waiting for " in text for text in said) else "one after the other"

    def jump(self, rng):
        """Refresh while the clock shows another year, then with the clock right again."""
        days = rng.choice((-4000, -400, -1, 1, 400, 4000))
        code, said = self.fail(["faketime", "-f", f"{days:+}d"])
        assert code == 0, said[-3000:]
        self.set_turn(1 - self.turn)
        self.converge()
        return "forward" if days > 0 else "back"

    def rename(self, rng):
        """Move a folder of intermediate files away, then change the survey and refresh."""
        folders = [
            p for top in ("landing", "warehouse") for p in (self.data / top, *(self.data / top).iterdir())
        ]
        folder = rng.choice([p for p in folders if p.is_dir()])
        folder.rename(self.data.parent / f"moved-{time.monotonic_ns()}")
        self.set_turn(1 - self.turn)
        self.converge()
        return "/".join(folder.relative_to(self.data).parts)

    def shows(self, expected):
        """What is published is what is expected of this turn; otherwise the tables that are not are named."""
        seen = contents(self.data / "published")
        other = {
            turn: sorted(t for t in seen if seen[t] != tables.get(t)) for turn, tables in expected.items()
        }
        assert seen == expected[self.turn], (self.turn, other, self.said()[-2000:])

    def converge(self):
        """The next refresh gives what was never disturbed."""
        self.refresh()
        self.shows(self.undisturbed)

    def kill(self, rng, at_most):
        """Kill a refresh and those that would recover it, each at a random moment; what was visible after each kill."""
        old, seen = self.turn, []
        self.set_turn(1 - old)
        for _ in range(at_most):
            child = self.start()
            child.join(rng.uniform(0, self.seconds))
            sent = rng.choice([*ENDINGS])
            if child.is_alive():
                os.kill(child.pid, sent)
            child.join(GRACE)
            child.kill()
            child.join()
            assert child.exitcode in ENDINGS[sent], (sent, child.exitcode, self.said()[-3000:])
            present = contents(self.data / "published")
            assert present in (self.undisturbed[old], self.undisturbed[self.turn])
            self.said()
            if child.exitcode == 0:
                break
            seen.append("old" if present == self.undisturbed[old] else "new")
        self.converge()
        return seen

    def fail(self, disturbance):
        """Refresh under `disturbance`, with the command that people use; tell what it said and what is visible."""
        old = self.turn
        self.set_turn(1 - old)
        self.started += 1
        done = subprocess.run(
            [*disturbance, WAREHOUSE, "refresh"],
            cwd=CHECKOUT,
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 1), done.stderr[-3000:]
        seen = contents(self.data / "published")
        # what a refresh could not publish a run of the daemon may have
        possible = ([old, self.turn] if self.daemon else [old]) if done.returncode else [self.turn]
        assert seen in [self.undisturbed[turn] for turn in possible]
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said[-3000:]
        return done.returncode, said

    def fill_the_disk(self, megabytes):
        """Refresh on a disk with a few megabytes left, then with room again; tell whether there was too little."""
        forget_versions_before(self.data / "published")
        if can_mount():
            with small_disk(self.data, megabytes, self.still):
                code, _ = self.fail([])
        else:
            code, _ = self.fail(["sh", "-c", f'ulimit -f {megabytes * 2048}; exec "$@"', "sh"])
        self.converge()
        return "refused" if code else "enough"

    def withdraw_permission(self, rng):
        """Refresh while a folder of the warehouse may not be written to; tell whether it was needed."""
        folders = [p for p in self.data.iterdir() if p.is_dir() and not p.is_symlink()]
        # `.current` is another folder afterwards, and the one that was closed has to be opened again
        folder = rng.choice([p for top in folders for p in (top, *top.iterdir()) if p.is_dir()]).resolve()
        mode = folder.stat().st_mode
        folder.chmod(0o555)
        try:
            # root may write everywhere unless it gives up its capabilities
            limited = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
            code, _ = self.fail(limited)
        finally:
            if folder.exists():
                folder.chmod(mode)
        self.converge()
        return "refused" if code else "not needed"

    def intermediate_file(self, rng):
        """A file between the surveys and what is published: first of what kind, then which."""
        kinds = [p for top in self.data.iterdir() if top.name not in LEFT_ALONE for p in top.iterdir()]
        files = [[p for p in (kind, *kind.rglob("*")) if p.is_file()] for kind in sorted(kinds)]
        return rng.choice(rng.choice([present for present in files if present]))

    def cut_once(self, path, rng):
        """Cut an intermediate file somewhere, then change the survey and refresh."""
        path.chmod(0o644)
        os.truncate(path, int(path.stat().st_size * rng.random()))
        self.shows(self.undisturbed)
        self.set_turn(1 - self.turn)
        self.converge()
        return "/".join(path.relative_to(self.data).parts[:2])

    def spoil(self, rng):
        """Write over the state, the build or Dagster's records, then change the survey and refresh."""
        home = Path(self.environment["DAGSTER_HOME"])
        records = [p for p in home.rglob("*") if p.is_file() and p.suffix == ".db"]
        state, build = self.data / "warehouse" / "state.json", self.data / "warehouse" / "build.duckdb"
        path = rng.choice([state, build, *rng.sample(records, min(1, len(records)))])
        if path == state:
            path.write_bytes(rng.choice(SPOILT))
        else:
            with path.open("r+b") as file:
                file.seek(int(path.stat().st_size * rng.random()))
                file.write(rng.randbytes(8192))
        self.set_turn(1 - self.turn)
        self.converge()
        return path.name if path in (state, build) else "records of runs"

    def edit(self, rng):
        """Edit a file of the code, without a change of meaning, while a refresh runs from it."""
        if not self.code.exists():
            shutil.copytree(CHECKOUT, self.code, symlinks=True, ignore=_not_code)
        self.set_turn(1 - self.turn)
        self.started += 1
        with (self.data.parent / "said").open("w", encoding="utf-8") as said:
            child = subprocess.Popen(
                [WAREHOUSE, "refresh"],
                cwd=self.code,
                env=os.environ | self.environment | {"PYTHONPATH": str(self.code)},
                stdout=said,
                stderr=said,
            )
            time.sleep(rng.uniform(0, self.seconds))
            kinds = {".py": "# edited\n", ".sql": "-- edited\n"}
            files = sorted(p for top in CODE for p in (self.code / top).rglob("*") if p.suffix in kinds)
            path = rng.choice(files)
            with path.open("a", encoding="utf-8") as file:
                file.write(kinds[path.suffix])
            assert child.wait() == 0, self.said()[-3000:]
        self.said()
        self.shows(self.undisturbed)
        self.set_turn(1 - self.turn)
        self.converge()
        return path.suffix[1:]

    def keep_daemon(self):
        """Have Dagster's daemon beside everything from now on, and know what a dropped file gives."""
        self.received = {}
        for turn in (0, 1):
            self.set_turn(turn)
            self.put()
            self.refresh()
            self.received[turn] = contents(self.data / "published")
            self.inbox.unlink()
            self.converge()
        assert self.received[0] not in self.undisturbed.values()
        lock = Paths.under(self.data).refresh_lock
        self.daemon = Daemon(self.environment, lock, self.data.parent / "daemon.log")
        self.before = set()
        self.taken_back = -math.inf
        self.daemon.keep()

    def put(self):
        """Put the answers without their last row into the inbox, as an upload does."""
        self.inbox.parent.mkdir(parents=True, exist_ok=True)
        part = self.inbox.with_name(f"{self.inbox.name}.part")
        part.write_bytes(b"".join(self.answers.read_bytes().splitlines(keepends=True)[:-1]))
        part.rename(self.inbox)

    def settle(self):
        """Wait until the daemon has done what is due, before folders are moved or closed under it."""
        until = time.monotonic() + GRACE * 10
        while self.daemon and time.monotonic() < until:
            self.daemon.keep()
            runs = self.daemon.runs()
            is_due = time.monotonic() < self.taken_back + 2 * GRACE and not set(runs) - self.before
            if not is_due and not self.daemon.works() and not UNFINISHED & set(runs.values()):
                return
            time.sleep(1)

    def drop(self, rng):
        """Drop a file into the inbox for the daemon to receive, and disturb its run; take the file back afterwards.

        The run that the daemon then starts by itself happens among the disturbances that follow.
        """
        self.settle()
        how = rng.choice(("alone", "beside a refresh", "run killed", "daemon killed"))
        self.set_turn(1 - self.turn)
        known = set(self.daemon.runs())
        self.put()
        run = self.daemon.new_run(known)
        time.sleep(rng.uniform(0, self.seconds / 2))
        beside = self.start() if how == "beside a refresh" else None
        at_work = self.daemon.works()
        if how == "run killed" and at_work:
            os.kill(at_work, signal.SIGKILL)
        if how == "daemon killed":
            self.daemon.kill()
        status = self.daemon.ended(run)
        if beside:
            beside.join()
            assert beside.exitcode == 0, self.said()[-3000:]
        if how in ("alone", "beside a refresh"):
            assert status == "SUCCESS", status
            self.shows(self.received)
        self.before = set(self.daemon.runs())
        self.taken_back = time.monotonic()
        self.inbox.unlink()
        self.converge()
        return f"{how}, {status.lower()}"


def _not_code(folder, names):
    """What a copy of the checkout that only runs does without."""
    return {n for n in names if n.startswith((".", "data", "tests"))} if Path(folder) == CHECKOUT else ()


def disturb_publications(folder, asked, rng):
    """Disturb the publishing step."""
    step = Step(folder)
    yield f"a publication takes {step.seconds:.1f} s"
    yield f"kills of it: {dict(Counter(step.kill_once(rng) for _ in range(asked.kills)))}"
    for _ in range(asked.faults):
        step.fill_the_disk(rng.randint(1, 4))
        step.converge()
        step.withdraw_permission()
        step.converge()
    yield f"full disks and missing permissions: {asked.faults} each, all refused plainly"


def disturb_refreshes(folder, asked, rng):
    """Disturb whole refreshes, while somebody reads what is published."""
    refreshes = Refreshes(folder)
    reading, opened = PROCESSES.Event(), PROCESSES.SimpleQueue()
    PROCESSES.Process(
        target=_read_on, args=(refreshes.data / "published", refreshes.still, reading, opened), daemon=True
    ).start()
    yield f"a refresh takes {refreshes.seconds:.0f} s"
    kills = []
    while len(kills) < asked.refresh_kills:
        kills += refreshes.kill(rng, min(IN_A_ROW, asked.refresh_kills - len(kills)))
    yield f"kills of it: {dict(Counter(kills))}"
    disks = Counter(refreshes.fill_the_disk(rng.randint(0, 40)) for _ in range(asked.faults))
    yield f"disks with 0 to 40 MB left: {dict(disks)}"
    closed = Counter(refreshes.withdraw_permission(rng) for _ in range(asked.faults))
    yield f"folders closed: {dict(closed)}"
    cut = Counter(refreshes.cut_once(refreshes.intermediate_file(rng), rng) for _ in range(asked.faults))
    yield f"files cut: {dict(cut)}"
    yield f"folders moved away: {dict(Counter(refreshes.rename(rng) for _ in range(asked.faults)))}"
    yield f"two at once: {dict(Counter(refreshes.at_once() for _ in range(asked.faults)))}"
    if shutil.which("faketime"):
        yield f"clock set: {dict(Counter(refreshes.jump(rng) for _ in range(asked.faults)))}"
    reading.set()
    count = opened.get()
    assert isinstance(count, int), count
    yield f"openings of the published file by a reader meanwhile, each whole: {count}"


def soak(folder, asked, rng):
    """Disturb whole refreshes in every way until the time is over, or one does not recover."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the daemon is ended then too
    refreshes = Refreshes(folder)
    refreshes.keep_daemon()
    yield f"a refresh takes {refreshes.seconds:.0f} s; {refreshes.started} of them undisturbed"
    reading, opened = PROCESSES.Event(), PROCESSES.SimpleQueue()
    PROCESSES.Process(
        target=_read_on, args=(refreshes.data / "published", refreshes.still, reading, opened), daemon=True
    ).start()
    kinds = {
        "killed": lambda: dict(Counter(refreshes.kill(rng, rng.randint(1, 2 * IN_A_ROW)))),
        "full disk": lambda: refreshes.fill_the_disk(rng.randint(0, 40)),
        "closed folder": lambda: refreshes.withdraw_permission(rng),
        "cut file": lambda: refreshes.cut_once(refreshes.intermediate_file(rng), rng),
        "spoilt state": lambda: refreshes.spoil(rng),
        "moved folder": lambda: refreshes.rename(rng),
        "two at once": refreshes.at_once,
        "edited code": lambda: refreshes.edit(rng),
        "file for the daemon": lambda: refreshes.drop(rng),
    }
    moving = {"full disk", "closed folder", "moved folder"}
    if shutil.which("faketime"):
        kinds["clock"] = lambda: refreshes.jump(rng)
    begun, waiting = time.monotonic(), []
    try:
        while time.monotonic() - begun < 60 * asked.minutes:
            waiting = waiting or rng.sample(sorted([*kinds, "killed"]), len(kinds) + 1)
            kind = waiting.pop()
            refreshes.daemon.keep()
            if kind in moving:
                refreshes.settle()
            before = refreshes.started
            seen = kinds[kind]()
            assert opened.empty(), opened.get()
            yield (
                f"{kind}: {seen} ({refreshes.started - before}, {refreshes.started} refreshes, "
                f"{len(refreshes.daemon.seen)} runs of the daemon in {refreshes.daemon.starts} starts, "
                f"{(time.monotonic() - begun) / 60:.0f} min)"
            )
        reading.set()
        yield f"openings by a reader: {opened.get()}"
    finally:
        refreshes.daemon.stop()
        said = refreshes.daemon.log.read_text(encoding="utf-8")
        print(f"the daemon wrote {said.count('Traceback')} tracebacks; it ended with", said[-2000:])


def _read_on(published, still, until, opened):
    """Open what is published again and again; tells how often, or what went wrong."""
    count = 0
    try:
        while not until.wait(1):
            with still, duckdb.connect(str(published / "warehouse.duckdb"), read_only=True) as con:
                assert con.execute("SELECT count(*) FROM harmonized.households").fetchone()[0] > 0
            count += 1
        opened.put(count)
    except (duckdb.Error, AssertionError) as error:
        opened.put(f"failed after {count}: {error}")


def run(name, folder, asked, seed):
    """Run one part of the campaign and print what it saw, as it is seen."""
    for line in PARTS[name](folder / f"{name}{seed}", asked, random.Random(seed)):
        print(f"{name} {seed}: {line}", flush=True)


PARTS = {"publications": disturb_publications, "refreshes": disturb_refreshes, "soak": soak}


def main():
    """Run the campaign: publications alone first, then two warehouses of their own beside each other."""
    # what is started in the background ignores interrupts, and so does all that it starts: none would be tried
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="kills of the publishing step")
    parser.add_argument("--refresh-kills", type=int, default=200, help="kills of a whole refresh")
    parser.add_argument(
        "--faults", type=int, default=10, help="full disks, missing permissions and cut files each"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count(), help="warehouses refreshed side by side"
    )
    parser.add_argument(
        "--minutes", type=float, help="disturb one warehouse for so long, in every way, and do nothing else"
    )
    parser.add_argument("--publish", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.publish:
        try:
            publish_all(*map(Path, asked.publish))
        except PublicationFailed as failure:
            print(failure)
            sys.exit(3)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if asked.minutes:
            run("soak", folder, asked, asked.seed)
            return
        run("publications", folder, asked, asked.seed)
        share = argparse.Namespace(
            refresh_kills=math.ceil(asked.refresh_kills / asked.workers),
            faults=math.ceil(asked.faults / asked.workers),
        )
        workers = [
            PROCESSES.Process(target=run, args=("refreshes", folder, share, asked.seed + k))
            for k in range(asked.workers)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    sys.exit(any(worker.exitcode for worker in workers))


if __name__ == "__main__":
    main()

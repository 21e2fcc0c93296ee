"""The deployment folder with real servers: code server, daemon, webserver, reverse proxy and PostgreSQL.

The commands are those of the systemd units; only folders and ports differ.
"""

import base64
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from places import Answers, Place
from servers import PASSWORD, free_port

from relocation_warehouse.ground.kept import FOLDER_VARIABLE
from relocation_warehouse.ground.paths import CHECKOUT
from relocation_warehouse.lake import history
from relocation_warehouse.lake.catalog import Lake

# a busy machine takes its time; what never happens ends sooner, with the logs
pytestmark = pytest.mark.timeout(1800)
DEPLOYMENT = CHECKOUT / "deployment"
UNITS = ("code", "daemon", "webserver", "proxy")
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
RUNS = """{runsOrError {... on Runs {results {
    runId jobName status startTime endTime tags {key value}}}}}"""
LOCATIONS = "{repositoriesOrError {... on RepositoryConnection {nodes {name}}}}"
BACKFILL = """mutation ($assets: [AssetKeyInput!]!) {launchPartitionBackfill(
    backfillParams: {assetSelection: $assets, allPartitions: true}) {
    __typename ... on LaunchBackfillSuccess {backfillId} ... on PythonError {message}}}"""


def command(unit, key="ExecStart"):
    """What systemd would start, here: program and arguments before variables are filled in; none without the key."""
    said = (DEPLOYMENT / "systemd" / f"relocation-warehouse-{unit}.service").read_text()
    result = re.search(rf"^{key}=(.+)$", said, re.M)
    line = result[1] if result else ""
    binaries = "/opt/relocation-warehouse/.venv-services/bin"
    line = line.replace(binaries, str(Path(sys.executable).parent))
    return shlex.split(line.replace("/opt/relocation-warehouse", str(CHECKOUT)))


def variables(example):
    """Names in an example of an environment file, those that are optional too."""
    return set(re.findall(r"^#?([A-Z_]+)=", (DEPLOYMENT / example).read_text(), re.M))


@dataclass
class Deployment:
    """The services, and the door that people use."""

    place: Place
    lake: Lake
    environment: dict
    log: Path
    services: dict = field(default_factory=dict)

    def start(self, units=UNITS):
        for unit in units:
            arguments, after = (self._filled_in(command(unit, key)) for key in ("ExecStart", "ExecStartPost"))
            with (self.log / f"{unit}.log").open("a") as log:
                self.services[unit] = subprocess.Popen(
                    arguments,
                    cwd=CHECKOUT,
                    env=self.environment,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            if after:
                subprocess.run(after, cwd=CHECKOUT, env=self.environment, check=True)

    def _filled_in(self, arguments):
        return [re.sub(r"\$\{(\w+)\}", lambda m: self.environment[m[1]], a) for a in arguments]

    def stop(self):
        """End what was started, and the processes that it started, as systemd does."""
        for service in self.services.values():
            service.terminate()
        for service in self.services.values():
            with suppress(subprocess.TimeoutExpired):
                service.wait(timeout=10)
            with suppress(ProcessLookupError):
                os.killpg(service.pid, signal.SIGKILL)
            service.wait()

    def kill(self, unit):
        """End a service and all that it started at once, as a power cut does."""
        service = self.services[unit]
        os.killpg(service.pid, signal.SIGKILL)
        service.wait()

    def get(self, path="/", user="analyst", password=PASSWORD, data=None):
        """Status and text that the proxy answers; without a user it is not told one."""
        request = urllib.request.Request(self.environment["WAREHOUSE_SITE"] + path, data)
        if user:
            secret = base64.b64encode(f"{user}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {secret}")
        if data:
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def ask(self, query, **arguments):
        status, text = self.get(
            "/graphql", data=json.dumps({"query": query, "variables": arguments}).encode()
        )
        assert status == 200, text
        return json.loads(text)["data"]

    def runs(self):
        return self.ask(RUNS)["runsOrError"]["results"]

    def wait(self, what, seconds=1500):
        """Wait until a condition holds; the logs tell why it does not."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                result = what()
            except (OSError, AssertionError, KeyError, TypeError):
                result = None
            if result:
                return result
            assert all(s.poll() is None for s in self.services.values()), self.logs()
            time.sleep(1)
        raise AssertionError(f"did not happen in {seconds} s: {self.runs()}\n{self.logs()}")

    def logs(self):
        return "\n".join(f"== {p.name}\n{p.read_text()[-3000:]}" for p in sorted(self.log.iterdir()))


@pytest.fixture(scope="module")
def deployment(postgres, tmp_path_factory):
    root = tmp_path_factory.mktemp("deployment")
    place = Place(root / "data")
    place.data.mkdir()
    for name in ("catalog", "literature"):
        (place.data / name).symlink_to(CHECKOUT / "data" / name)
    # two surveys show all that several would: that runs wait for each other, and that one changes alone
    shutil.copytree(CHECKOUT / "data" / "surveys", place.data / "surveys")
    dropped, _ = dropped_in(place)
    others = sorted(p for p in (place.data / "surveys").iterdir() if p.name != dropped)
    for folder in others[:-1]:
        shutil.rmtree(folder)
    home, log = root / "dagster", root / "log"
    for folder in (home, log):
        folder.mkdir()
    shutil.copy(DEPLOYMENT / "dagster.yaml", home)
    postgres.create("dagster")
    lake = Lake(postgres.create("lake"), root / "lake")
    hashed = subprocess.run(
        ["caddy", "hash-password", "--plaintext", PASSWORD], capture_output=True, text=True, check=True
    ).stdout.strip()
    said = {
        "DAGSTER_HOME": home,
        "WAREHOUSE_DATA": place.data,
        "WAREHOUSE_DAGSTER_HOST": "127.0.0.1",
        "WAREHOUSE_DAGSTER_PORT": postgres.port,
        "WAREHOUSE_DAGSTER_DATABASE": "dagster",
        "WAREHOUSE_DAGSTER_USER": postgres.user,
        "WAREHOUSE_DAGSTER_PASSWORD": PASSWORD,
        "WAREHOUSE_CODE_PORT": free_port(),
        "WAREHOUSE_WEB_PORT": free_port(),
        "WAREHOUSE_LAKE": lake.url,
        "WAREHOUSE_LAKE_DATA": lake.folder,
        "WAREHOUSE_SITE": f"http://127.0.0.1:{free_port()}",
        "WAREHOUSE_USER": "analyst",
        "WAREHOUSE_ACCESS_LOG": root / "access.log",
        "WAREHOUSE_PASSWORD_HASH": hashed,
        "OPENBLAS_NUM_THREADS": 1,
    }
    assert set(said) <= variables("environment.example") | variables("proxy.example")
    kept = {
        name: os.environ[name]
        for name in ("PATH", "HOME", "PYTHONPATH", FOLDER_VARIABLE)
        if name in os.environ
    }
    elsewhere = {"XDG_DATA_HOME": str(root / "caddy"), "XDG_CONFIG_HOME": str(root / "caddy")}
    deployed = Deployment(place, lake, kept | elsewhere | {n: str(v) for n, v in said.items()}, log)
    deployed.start()
    try:
        deployed.wait(lambda: deployed.ask(LOCATIONS)["repositoriesOrError"]["nodes"])
        yield deployed
    finally:
        deployed.stop()


def refreshes(deployment):
    return history.refreshes(deployment.lake)


def test_nobody_gets_in_without_the_password(deployment):
    for path in ("/", "/graphql?query={version}", "/server_info"):
        assert deployment.get(path, user="")[0] == 401, path
        assert deployment.get(path, password="wrong")[0] == 401, path
    status, page = deployment.get()
    assert status == 200
    assert "Dagster" in page
    assert deployment.ask("{version}")["version"]


def test_the_door_says_how_its_pages_may_be_used(deployment):
    request = urllib.request.Request(deployment.environment["WAREHOUSE_SITE"] + "/server_info")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    headers = refused.value.headers
    assert "max-age" in headers["Strict-Transport-Security"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Server"] is None


def shut_out(deployment, name):
    """Addresses that a filter of fail2ban finds in the door's log, one for each line that it counts."""
    said = (DEPLOYMENT / "fail2ban" / "filter.d" / f"relocation-warehouse-{name}.conf").read_text()
    pattern = re.search(r"^failregex = (.+)$", said, re.M)[1].replace("<HOST>", r"([0-9a-f.:]+)")
    lines = Path(deployment.environment["WAREHOUSE_ACCESS_LOG"]).read_text().splitlines()
    return [result[1] for line in lines if (result := re.search(pattern, line))]


def test_wrong_passwords_are_counted_and_nothing_else_is(deployment):
    before, asked = (len(shut_out(deployment, name)) for name in ("password", "rate"))
    forged = urllib.parse.quote('"Authorization":[],"status":401')
    deployment.get("/server_info")
    deployment.get(f"/{forged}", user="")
    deployment.get("/server_info", user="")
    assert len(shut_out(deployment, "password")) == before
    deployment.get("/server_info", password="wrong")
    assert shut_out(deployment, "password")[before:] == ["127.0.0.1"]
    assert shut_out(deployment, "rate")[asked:] == ["127.0.0.1"] * 4
    assert PASSWORD not in Path(deployment.environment["WAREHOUSE_ACCESS_LOG"]).read_text()


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_may_do_little_but_its_work(unit):
    program = shutil.which("systemd-analyze")
    assert program, "no systemd-analyze: apt-get install systemd"
    file = DEPLOYMENT / "systemd" / f"relocation-warehouse-{unit}.service"
    graded = subprocess.run(
        [program, "security", "--offline=true", "--threshold=30", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert graded.returncode == 0, graded.stdout[-300:] + graded.stderr


def test_only_the_proxy_can_be_reached_from_outside(deployment):
    for unit in ("code", "webserver", "daemon"):
        family = [psutil.Process(deployment.services[unit].pid)]
        family += family[0].children(recursive=True)
        listening = [c for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert {c.laddr.ip.removeprefix("::ffff:") for c in listening} <= {"127.0.0.1"}, unit
        assert bool(listening) == (unit != "daemon"), unit


def test_storage_is_postgresql(deployment, postgres):
    deployment.ask("{version}")
    assert int(postgres.execute("dagster", "SELECT count(*) FROM daemon_heartbeats")) > 0
    assert not list(Path(deployment.environment["DAGSTER_HOME"]).rglob("*.db"))


@pytest.fixture(scope="module")
def backfilled(deployment):
    """All surveys refreshed by a backfill that the daemon carries out."""
    surveys = {p.parent.name for p in (deployment.place.data / "surveys").glob("*/survey.yml")}

    def assets():
        """All assets, once the sensor has made every survey a partition."""
        nodes = deployment.ask("{assetNodes {assetKey {path} partitionKeys}}")["assetNodes"]
        return nodes if any(surveys <= set(n["partitionKeys"]) for n in nodes) else None

    nodes = deployment.wait(assets)
    started = deployment.ask(BACKFILL, assets=[n["assetKey"] for n in nodes])["launchPartitionBackfill"]
    assert started["__typename"] == "LaunchBackfillSuccess", started
    query = (
        "query ($id: String!) {partitionBackfillOrError(backfillId: $id) {... on PartitionBackfill {status}}}"
    )

    def ended():
        status = deployment.ask(query, id=started["backfillId"])["partitionBackfillOrError"]["status"]
        return status if status not in {"REQUESTED"} else None

    assert deployment.wait(ended) == "COMPLETED_SUCCESS", deployment.logs()
    return deployment


@pytest.mark.long
def test_a_backfill_refreshes_all_surveys_with_one_writer_at_a_time(backfilled):
    runs = backfilled.runs()
    surveys = sorted(p.parent.name for p in (backfilled.place.data / "surveys").glob("*/survey.yml"))
    tagged = [t["value"] for r in runs for t in r["tags"] if t["key"] == "dagster/partition"]
    assert set(tagged) == set(surveys)
    assert {r["status"] for r in runs} == {"SUCCESS"}
    spans = sorted((r["startTime"], r["endTime"]) for r in runs)
    assert len(spans) > len(surveys)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans)), spans
    published = backfilled.place.query("SELECT DISTINCT survey_id FROM harmonized.households ORDER BY ALL")
    assert [s for (s,) in published] == surveys
    assert len(refreshes(backfilled)) == 1


def dropped_in(place):
    """A survey whose file can be dropped as CSV, and the question how many of its households are published."""
    survey_id = next(
        s.parent.name
        for s in sorted((place.data / "surveys").glob("*/survey.yml"))
        if place.survey(s.parent.name)["files"][0]["format"] == "delimited"
    )
    return survey_id, f"SELECT count(*) FROM harmonized.households WHERE survey_id = '{survey_id}'"


def drop(place, survey_id, rows_less):
    """Drop the survey's file without its last rows, under its name only when it is complete."""
    answers = Answers.read(place, survey_id)
    del answers.rows[-rows_less:]
    inbox = place.data / "inbox" / survey_id
    inbox.mkdir(parents=True, exist_ok=True)
    part = inbox / f"{answers.path.name}.part"
    answers.write(part)
    part.rename(inbox / answers.path.name)


@pytest.mark.long
def test_a_file_dropped_in_the_inbox_is_published_without_a_person_though_the_code_server_dies(backfilled):
    place = backfilled.place
    survey_id, count = dropped_in(place)
    version, ((before,),) = place.version(), place.query(count)
    known = {r["runId"] for r in backfilled.runs()}
    drop(place, survey_id, rows_less=1)
    (cut_off,) = backfilled.wait(
        lambda: [r for r in backfilled.runs() if r["runId"] not in known and r["status"] == "STARTED"]
    )
    assert cut_off["jobName"] == "refresh_survey"

    backfilled.kill("code")
    assert place.version() == version
    backfilled.start(["code"])

    (again,) = backfilled.wait(
        lambda: [
            r
            for r in backfilled.runs()
            if r["runId"] not in {*known, cut_off["runId"]} and r["status"] in ENDED
        ]
    )
    assert (again["jobName"], again["status"]) == ("refresh_survey", "SUCCESS"), backfilled.logs()
    assert {"key": "dagster/parent_run_id", "value": cut_off["runId"]} in again["tags"]
    (first,) = [r for r in backfilled.runs() if r["runId"] == cut_off["runId"]]
    assert first["status"] == "FAILURE"
    assert place.version() != version
    assert place.query(count) == [(before - 1,)]
    manifest = json.loads((place.data / "published" / "manifest.json").read_text("utf-8"))
    assert manifest["run_id"] == again["runId"]
    # both versions answer from the lake
    for refresh, expected in zip(refreshes(backfilled), (before, before - 1), strict=True):
        with history.as_of(backfilled.lake, refresh, count) as answer:
            assert answer.fetchall() == [(expected,)]


def test_the_files_hold_no_secret_and_name_no_variable_that_is_not_documented():
    known = variables("environment.example") | variables("proxy.example")
    for path in DEPLOYMENT.rglob("*"):
        if path.is_file():
            text = path.read_text("utf-8")
            assert set(re.findall(r"\b(WAREHOUSE_[A-Z_]+|DAGSTER_HOME)\b", text)) <= known, path
            assert not re.search(r"postgresql://\w+:(?!change-me)", text), path
    for example in ("environment.example", "proxy.example"):
        for line in (DEPLOYMENT / example).read_text().splitlines():
            if re.match(r"#?\w*(PASSWORD|HASH)\w*=", line):
                assert line.endswith("=change-me"), line

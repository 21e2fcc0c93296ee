"""Read in a process of its own, within limits: what a file does to its reader stops nothing else.

Belongs here: the process that readers run in, its limits, and how rows come back from it.
Does not belong here: reading any format.

One helper process is started with the first file and keeps the readers that it imports; for each file it forks, so
that a file costs milliseconds and not an import. It ends with the process that started it. A fork may use memory and
processor time in proportion to the size of its file; rows come back through a pipe as Arrow batches.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa

from relocation_warehouse.survey.readers.base import Received, UnreadableFile

MEMORY_BYTES, MEMORY_OF_A_BYTE = 2**30, 30
"""Memory that reading may take: so much, and so much for each byte of the file."""
SECONDS, SECONDS_OF_A_MEGABYTE = 15, 2
"""Processor time that reading may take, likewise."""
STALLED = 20
"""Times the processor time without a sign after which a reader is given up."""

NO_MEMORY = 12
"""Exit status of a reader that had no memory left even to say so."""

FRAME = struct.Struct(">cQ")
REQUEST = "request.json"
BATCH, VALUE, REFUSED, HEAD = b"b", b"v", b"r", b"h"


class _Helper:
    """The process that forks readers; one for each process that reads files."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        root = str(Path(__file__).parents[3])
        beside = os.environ.get("PYTHONPATH")
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join([root, beside] if beside else [root]),
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "ARROW_DEFAULT_MEMORY_POOL": "system",
            # memory that is set aside and not used goes back at once, and does not count against the limit
            "MALLOC_MMAP_THRESHOLD_": "65536",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from relocation_warehouse.survey.readers import serve; serve()"],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )
        theirs.close()

    @property
    def is_usable(self) -> bool:
        """Whether this process started it, and it runs."""
        return self.owner == os.getpid() and self.process.poll() is None


_helper: _Helper | None = None
_lock = threading.Lock()


def _ask(scratch: str) -> tuple[int, int]:
    """Hand the request in a folder to the helper; descriptors from which the answer and the reader's end are read."""
    global _helper  # noqa: PLW0603 (one helper a process)
    answer, answer_in = os.pipe()
    end, end_in = os.pipe()
    try:
        with _lock:
            if _helper is None or not _helper.is_usable:
                _helper = _Helper()
            with contextlib.suppress(ConnectionError):  # it ended: nothing comes back, which is said then
                socket.send_fds(_helper.socket, [scratch.encode()], [answer_in, end_in])
    finally:
        os.close(answer_in)
        os.close(end_in)
    return answer, end


@contextlib.contextmanager
def isolated(function: str, *arguments: str, path: Path, module: str) -> Iterator[Any]:
    """Call one of the functions that the helper serves, for the file at `path`; give what it gives.

    The helper imports `module` of this package first, and keeps it for the next file. Arguments are text, never
    objects: the helper knows classes by the names that it imported them under, which need not be the caller's. A
    function that gives `Received` has its batches passed on as they come.

    Raises
    ------
    UnreadableFile
        As the function raises it; or it took more than its limits, or failed in a way of its own.
    """
    size = path.stat().st_size
    with tempfile.TemporaryDirectory(prefix="survey-") as scratch:
        request = {
            "module": f"{__package__}.{module}",
            "function": function,
            "arguments": (str(path), *arguments),
            "memory": MEMORY_BYTES + MEMORY_OF_A_BYTE * size,
            "seconds": SECONDS + SECONDS_OF_A_MEGABYTE * size // 2**20,
        }
        (Path(scratch) / REQUEST).write_text(json.dumps(request), encoding="utf-8")
        answer, end = _ask(scratch)
        try:
            kind, value = _frame(answer, end, request)
            if kind == HEAD:
                received, schema = value
                batches = _batches(answer, end, request, pa.ipc.read_schema(pa.py_buffer(schema)))
                value = replace(received, schema=pa.ipc.read_schema(pa.py_buffer(schema)), batches=batches)
            yield value
        finally:
            os.close(answer)
            os.close(end)


def _batches(
    answer: int, end: int, request: Mapping[str, Any], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    while True:
        kind, value = _frame(answer, end, request)
        if kind != BATCH:
            return
        yield pa.ipc.read_record_batch(pa.py_buffer(value), schema)


def _frame(answer: int, end: int, request: Mapping[str, Any]) -> tuple[bytes, Any]:
    """The next part of an answer."""
    head = _read(answer, FRAME.size, request)
    kind, size = FRAME.unpack(head) if len(head) == FRAME.size else (b"", 0)
    content = _read(answer, size, request)
    if not kind or len(content) < size:
        raise UnreadableFile(_why_ended(end, request))
    if kind == REFUSED:
        raise UnreadableFile(content.decode("utf-8", errors="replace"))
    return kind, content if kind == BATCH else pickle.loads(content)


def _read(answer: int, size: int, request: Mapping[str, Any]) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        ready, _, _ = select.select([answer], [], [], STALLED * request["seconds"])
        if not ready:
            raise UnreadableFile("reading it makes no progress; save the file again, or split it")
        if not (part := os.read(answer, min(size - len(parts), 2**20))):
            break
        parts += part
    return bytes(parts)


def _why_ended(end: int, request: Mapping[str, Any]) -> str:
    """Message for a reader that ended without an answer; memory is named only where it is the cause."""
    ready, _, _ = select.select([end], [], [], 5)
    status = os.read(end, 4096) if ready else b""
    if not status:
        return (
            "was not read: the process that reads files ended, or cannot start; try again, then `make setup`"
        )
    code = json.loads(status)
    if code == -signal.SIGXCPU:
        seconds = request["seconds"]
        return f"takes more than {seconds} seconds to read, far more than a file of its size should; split it"
    if code == -signal.SIGKILL:
        return "was not read: its reader was killed from outside, as happens where the machine has no memory left"
    if code in (-signal.SIGABRT, NO_MEMORY):
        return _too_much(request)
    name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
    return f"its reader failed ({name}), so it is damaged or made to; save it again"


def _too_much(request: Mapping[str, Any]) -> str:
    return (
        f"needs more than {request['memory'] / 2**30:.1f} GiB of memory to be read, far more than a file of its size "
        "should; look for cells far outside the table, or split it"
    )


# ---- in the helper ------------------------------------------------------------------------------------------------


def serve(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Fork a reader for every request that comes in at standard input, until its other end is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_module("pandas")  # pyarrow looks for it when it makes an array: once here, not once a file
    requests = socket.socket(fileno=0)
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 2**16, 2)
        if not message:
            return
        scratch = message.decode()
        with contextlib.suppress(FileNotFoundError):  # who asked has gone
            request = json.loads((Path(scratch) / REQUEST).read_text(encoding="utf-8"))
            with contextlib.suppress(Exception):  # said by the reader, which meets it again
                import_module(request["module"])
            if os.fork() == 0:
                requests.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                try:
                    _watch(request, scratch, functions, *descriptors)
                finally:
                    os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def _watch(
    request: Mapping[str, Any],
    scratch: str,
    functions: Mapping[str, Callable[..., Any]],
    answer: int,
    end: int,
) -> None:
    """Fork once more, so that somebody sees how the reader ends."""
    reader = os.fork()
    if reader == 0:
        os.close(end)
        status = 1
        try:
            _respond(request, scratch, functions, answer)
            status = 0
        except BrokenPipeError:
            status = 0
        except MemoryError:
            status = NO_MEMORY
        finally:
            os._exit(status)
    os.close(answer)
    _, status = os.waitpid(reader, 0)
    with contextlib.suppress(BrokenPipeError):
        os.write(end, json.dumps(os.waitstatus_to_exitcode(status)).encode())


def _respond(
    request: Mapping[str, Any], scratch: str, functions: Mapping[str, Callable[..., Any]], answer: int
) -> None:
    def send(kind: bytes, content: Any) -> None:
        for part in (FRAME.pack(kind, len(content)), content):
            view = memoryview(part)
            while view:
                view = view[os.write(answer, view) :]

    tempfile.tempdir = scratch
    seconds = request["seconds"]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (request["memory"], request["memory"]))
    try:
        import_module(request["module"])
        value = functions[request["function"]](*request["arguments"])
        with contextlib.ExitStack() as stack:
            if hasattr(value, "__enter__"):
                value = stack.enter_context(value)
            if not isinstance(value, Received):
                send(VALUE, pickle.dumps(value))
                return
            bare = replace(value, schema=None, batches=iter(()))
            send(HEAD, pickle.dumps((bare, value.schema.serialize().to_pybytes())))
            for batch in value.batches:
                send(BATCH, batch.serialize())
        send(VALUE, pickle.dumps(None))
    except UnreadableFile as error:
        send(REFUSED, str(error).encode("utf-8", errors="replace"))
    except (MemoryError, pa.ArrowMemoryError):
        send(REFUSED, _too_much(request).encode())
    except BrokenPipeError:
        raise
    except BaseException as error:  # whatever a file does to a library, panics included: it cannot be read
        message = f"cannot be read ({type(error).__name__}: {str(error)[:200]}); save it again"
        send(REFUSED, message.encode("utf-8", errors="replace"))

"""Engines that behave in every way an engine can: well, slowly, greedily, fatally."""

import ctypes
import os
import resource
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path

from activities.sandbox.registry import EngineContext, engine
from muniment.contracts.base import Contract
from muniment.errors import EncryptedDocument


class Task(Contract):
    number: int = 0


class Outcome(Contract):
    number: int = 0
    text: str = ""


@engine("echo")
def echo(request: Task, context: EngineContext) -> Outcome:
    return Outcome(number=request.number, text=context.content.read().decode())


@engine("count")
def count(request: Task, context: EngineContext) -> Outcome:
    for number in range(request.number):
        context.report(Outcome(number=number))
    return Outcome(number=request.number)


@engine("sleep")
def sleep(request: Task, context: EngineContext) -> Outcome:
    context.report(Outcome(number=os.getpid()))
    time.sleep(request.number)
    return Outcome()


FORBIDDEN: dict[str, Callable[[], object]] = {
    "socket": socket.socket,
    "fork": os.fork,
    "read a foreign file": lambda: Path("/etc/passwd").read_bytes(),
    "list a foreign folder": lambda: os.listdir("/"),
    "look into another process": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "signal another process": lambda: os.kill(os.getppid(), 0),
    "limit another process": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU),
    "write a file": lambda: Path("/tmp/muniment-left-behind").write_text("x"),
    "remove a file": lambda: os.unlink(__file__),
    "change a file's mode": lambda: os.chmod(__file__, 0o600),
    "change a file's times": lambda: os.utime(__file__, (0, 0)),
    "read beside the code": lambda: (Path(__file__).parents[3] / "pyproject.toml").read_bytes(),
    "slow the worker down": lambda: os.setpriority(os.PRIO_USER, 0, 19),
    "hold a processor back": lambda: os.sched_setaffinity(os.getppid(), {0}),
}


@engine("try_forbidden")
def try_forbidden(request: Task, context: EngineContext) -> Outcome:
    """Says which of the forbidden acts succeeded."""
    done = []
    for name, act in FORBIDDEN.items():
        try:
            act()
        except OSError:
            continue
        done.append(name)
    return Outcome(text=", ".join(done))


@engine("send_datagram")
def send_datagram(request: Task, context: EngineContext) -> Outcome:
    """To itself through a pair, as event loops do, and to the socket at the path in the content."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.send(b"to itself")
    heard = theirs.recv(64).decode()
    try:
        ours.sendto(b"to another", context.content.read().decode())
    except PermissionError:
        return Outcome(text=heard)
    return Outcome(text="to another")


@engine("parent")
def parent(request: Task, context: EngineContext) -> Outcome:
    return Outcome(number=os.getppid())


@engine("fork_bomb")
def fork_bomb(request: Task, context: EngineContext) -> Outcome:
    while True:
        os.fork()


@engine("flood")
def flood(request: Task, context: EngineContext) -> Outcome:
    while True:
        context.report(Outcome(text="x" * 1000))


@engine("hoard")
def hoard(request: Task, context: EngineContext) -> Outcome:
    hoarded = []
    while True:
        hoarded.append(bytearray(os.urandom(1024) * 1024))


@engine("ignore_signals")
def ignore_signals(request: Task, context: EngineContext) -> Outcome:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pass


@engine("execute")
def execute(request: Task, context: EngineContext) -> Outcome:
    os.execv("/bin/true", ["true"])  # noqa: S606 - what the sandbox has to forbid


@engine("start_thread")
def start_thread(request: Task, context: EngineContext) -> Outcome:
    seen = []
    thread = threading.Thread(target=lambda: seen.append(1))
    thread.start()
    thread.join()
    return Outcome(number=len(seen))


@engine("reopen")
def reopen(request: Task, context: EngineContext) -> Outcome:
    return Outcome(text=Path(context.content.path).read_text())


@engine("spin")
def spin(request: Task, context: EngineContext) -> Outcome:
    while True:
        pass


@engine("swell")
def swell(request: Task, context: EngineContext) -> Outcome:
    return Outcome(text="x" * request.number)


@engine("segfault")
def segfault(request: Task, context: EngineContext) -> Outcome:
    ctypes.string_at(1)
    return Outcome()


@engine("refuse")
def refuse(request: Task, context: EngineContext) -> Outcome:
    raise EncryptedDocument("A password is needed.", remedy="Send it.")


@engine("blunder")
def blunder(request: Task, context: EngineContext) -> Outcome:
    raise KeyError("a secret of the document")


@engine("write")
def write(request: Task, context: EngineContext) -> Outcome:
    try:
        Path(context.content.read().decode()).write_text("left behind")
    except OSError as error:
        return Outcome(number=error.errno or 0)
    return Outcome()


@engine("environment")
def environment(request: Task, context: EngineContext) -> Outcome:
    return Outcome(number=len(os.listdir("/proc/self/fd")), text="\n".join(os.environ))


@engine("forge")
def forge(request: Task, context: EngineContext) -> Outcome:
    """Writes the content into the pipe of the answer, as whoever took the process over could."""
    for descriptor in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.write(descriptor, context.content.read())
        except OSError:
            continue
    os._exit(0)

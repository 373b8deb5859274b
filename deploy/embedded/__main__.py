"""`python -m deploy.embedded [up|down|status|doctor] --home DIR`: the embedded stack.

Exit codes: 0 done (also: already running, nothing to stop), 1 it failed or, for `doctor`,
something has failed, 2 a wrong call, 3 (`status` only) the stack does not run.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

from deploy.embedded.control import (
    resolved_home,
    start_detached,
    status,
    stop,
    wait_for_ready,
)
from deploy.embedded.home import Home, default_home
from deploy.embedded.lock import AlreadyRunning, is_supervised, sole_supervisor
from deploy.embedded.records import Endpoints, StackState, StackStatus
from muniment.errors import ConfigurationError, MunimentError
from muniment.settings import EmbeddedSettings, Settings, load_settings

_COMMANDS = ("up", "down", "status", "doctor")
_NOT_RUNNING = 3
_REPLACEABLE = ("api", "worker-io", "worker-cpu")


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0].startswith("--"):
        arguments = ["up", *arguments]
    options = _parser().parse_args(arguments)
    home = resolved_home(options.home)
    try:
        settings = load_settings()
        if options.command == "down":
            return _down(home)
        if options.command == "status":
            return _status(home, as_json=options.json)
        if options.command == "doctor":
            return _doctor(home, as_json=options.json)
        _require_plain_loopback(settings)
        _require_connections(settings)
        return _up(home, options, settings.embedded)
    except MunimentError as error:
        _say(f"error: {error.detail}")
        _say(f"  what to do: {error.remedy}")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.embedded", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in _COMMANDS:
        command = commands.add_parser(name)
        command.add_argument("--home", type=Path, default=default_home())
        if name in ("status", "doctor"):
            command.add_argument("--json", action="store_true")
        if name == "up":
            command.add_argument("--port", type=int, default=None, help="the API's port")
            command.add_argument("--detach", action="store_true", help="return when it is ready")
            command.add_argument(
                "--show-payloads",
                action="store_true",
                help="let Temporal's Web UI ask the API to decode payloads",
            )
            command.add_argument(
                "--command",
                dest="commands",
                metavar="PROCESS=COMMAND",
                type=_replacement,
                action="append",
                default=[],
                help="run another command as this process (tests, debuggers)",
            )
    return parser


def _replacement(text: str) -> tuple[str, str]:
    name, separator, command = text.partition("=")
    if not separator or name not in _REPLACEABLE:
        raise argparse.ArgumentTypeError(f"not api or a worker with a command: {text}")
    return name, command


def _require_plain_loopback(settings: Settings) -> None:
    """Raises ConfigurationError for settings of TLS that an embedded stack would break, or pass over:
    its API and its Temporal speak on the loopback address alone, without."""
    if settings.api.tls_certificate or settings.api.tls_key or settings.temporal.uses_tls:
        raise ConfigurationError(
            "an embedded stack has no TLS: its API and its Temporal are on the loopback address",
            remedy="Unset MUNIMENT_API__TLS_… and MUNIMENT_TEMPORAL__…; put a proxy with TLS before"
            " the API, or run the processes by themselves (docs/transport.md).",
        )


def _require_connections(settings: Settings) -> None:
    from deploy.embedded.stack import require_connections

    require_connections(settings)


def _up(home: Home, options: argparse.Namespace, settings: EmbeddedSettings) -> int:
    home.create()
    if is_supervised(home):
        return _already_running(home)
    if options.detach:
        _say_endpoints(home, start_detached(home, _up_arguments(home, options), _say))
        return 0
    # Here and below, so that `status` and `down` do not wait for what only these need.
    from deploy.embedded.supervisor import Supervisor, adopt_orphans

    try:
        with sole_supervisor(home):
            adopt_orphans()
            supervisor = Supervisor(
                home,
                api_port=options.port,
                commands=dict(options.commands),
                settings=settings,
                shows_payloads=options.show_payloads,
                say=_say,
            )
            asyncio.run(supervisor.run())
    except AlreadyRunning:
        return _already_running(home)
    return 0


def _already_running(home: Home) -> int:
    """What was asked for holds already, as soon as the other supervisor's stack is ready."""
    endpoints = wait_for_ready(home, timeout_seconds=300)
    if endpoints is None:
        _say(f"a supervisor of {home.root} runs, but its stack is not ready")
        return 1
    _say(f"already running at {endpoints.api}")
    return 0


def _up_arguments(home: Home, options: argparse.Namespace) -> list[str]:
    arguments = ["--home", str(home.root)]
    if options.port is not None:
        arguments += ["--port", str(options.port)]
    if options.show_payloads:
        arguments.append("--show-payloads")
    for name, command in options.commands:
        arguments += ["--command", f"{name}={command}"]
    return arguments


def _say_endpoints(home: Home, endpoints: Endpoints) -> None:
    _say(f"running in the background at {endpoints.api}; `muniment down` stops it ({home.root})")


def _down(home: Home) -> int:
    _say("stopped" if stop(home) else "nothing was running")
    return 0


def _status(home: Home, *, as_json: bool) -> int:
    found = status(home)
    if as_json:
        _say(found.model_dump_json(indent=2))
    else:
        _say_status(found)
    return 0 if found.state is StackState.RUNNING else _NOT_RUNNING


def _say_status(found: StackStatus) -> None:
    _say(f"{found.state}  {found.home}")
    for process in found.processes:
        restarts = f"  {process.restarts} restarts" if process.restarts else ""
        _say(f"  {process.name:<11} {process.state:<10} pid {process.pid or '-'}{restarts}")
    if found.endpoints is not None:
        _say(f"  API          {found.endpoints.api}")
        _say(f"  Temporal UI  {found.endpoints.temporal_ui}")


def _doctor(home: Home, *, as_json: bool) -> int:
    from deploy.embedded.doctor import Health, examine, render

    report = asyncio.run(examine(home))
    if as_json:
        _say(json.dumps(report.model_dump(mode="json"), indent=2))
    else:
        _say(render(report))
    return 1 if report.state is Health.FAILED else 0


def _say(line: str) -> None:
    # Whoever read this may have gone; the log has it all, and supervision goes on.
    with contextlib.suppress(OSError):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(code)  # threads of libraries must not delay or spoil the exit code

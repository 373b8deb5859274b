"""What an embedded stack consists of: the processes, in the order in which they start and stop."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

from deploy.embedded import api_processes
from deploy.embedded.child import ProcessSpec
from deploy.embedded.home import HOME_VARIABLE, Home, model_directory
from deploy.embedded.leftovers import MARK
from deploy.embedded.logs import RotatingLog
from deploy.embedded.one_shot import python_module
from deploy.embedded.places import LOOPBACK, Places
from deploy.embedded.postgres import (
    APPLICATION_ROLE,
    MOST_CONNECTIONS,
    OWNER_ROLE,
    PostgresCluster,
)
from deploy.embedded.probing import probe_for
from deploy.embedded.records import Endpoints
from deploy.embedded.scanner import SOCKET_VARIABLE, Scanner, choose_scanner
from deploy.embedded.temporal import NAMESPACE, TemporalServer
from muniment.contracts import queues
from muniment.errors import ConfigurationError
from muniment.settings import EmbeddedSettings, Settings

WORKER_QUEUES: Mapping[str, tuple[str, ...]] = {
    "worker-io": (queues.WORKFLOWS, queues.SCAN, queues.VERIFY, queues.DELIVER),
    "worker-cpu": (queues.PARSE, queues.OCR_CPU, queues.EMBED, queues.EVALUATE),
}
OBJECTS_VARIABLE = "MUNIMENT_OBJECTS__ROOT"
KEYS_VARIABLE = "MUNIMENT_KEYS__ROOT"
RATE_LIMITS_VARIABLE = "MUNIMENT_RATE_LIMITS__API_PROCESSES"
WORKER_METRICS_VARIABLE = "MUNIMENT_WORKER__METRICS_PORT"
MODELS_VARIABLE = "MUNIMENT_EMBEDDING__MODEL_DIRECTORY"
_OTHER_CONNECTIONS = 20
"""To the database: superusers' three, migrations, the first key, `doctor`, and what a person asks."""
_COMMAND_LINE_ONLY = ("MUNIMENT_API__URL", "MUNIMENT_API__KEY", "MUNIMENT_DATABASE__OWNER_URL")
_LIBRARY_SETTINGS = {
    # The engines run one per core already; their libraries phone nobody.
    "OMP_NUM_THREADS": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class EmbeddedStack:
    """The processes of one home. `commands` replaces the command of a process by name: the seam
    for tests and for running one process under a debugger."""

    home: Home
    places: Places
    environment: Mapping[str, str]
    commands: Mapping[str, str]
    postgres: PostgresCluster
    temporal: TemporalServer
    scanner: Scanner
    settings: EmbeddedSettings

    @property
    def api_url(self) -> str:
        return f"http://{LOOPBACK}:{self.places.api}"

    def endpoints(self) -> Endpoints:
        """What `run/endpoints.json` says."""
        settings = self.service_environment()
        return Endpoints(
            api=self.api_url,
            temporal=self.temporal.address,
            temporal_ui=self.temporal.ui_url,
            database=self.postgres.url(OWNER_ROLE),
            namespace=NAMESPACE,
            scanner=settings.get(SOCKET_VARIABLE),
            objects=settings[OBJECTS_VARIABLE],
            keys=settings[KEYS_VARIABLE],
            models=settings[MODELS_VARIABLE],
        )

    def foundation(self) -> list[ProcessSpec]:
        """What must be ready before the schema is made and anything of ours starts."""
        silent_seconds = self.settings.silent_seconds
        postgres = replace(
            self.postgres.spec(), probe=probe_for(self.postgres.answers, silent_seconds)
        )
        temporal = replace(
            self.temporal.spec(),
            own_session=True,
            session_niceness=self.settings.background_niceness,
            probe=probe_for(self.temporal.answers, silent_seconds),
        )
        scanner = self.scanner
        own = (
            [replace(scanner.spec, probe=probe_for(scanner.answers, silent_seconds))]
            if scanner.spec
            else []
        )
        return [self._marked(spec) for spec in (postgres, temporal, *own)]

    def services(self) -> list[ProcessSpec]:
        """Our own processes."""
        workers = [self._worker(name, polled) for name, polled in WORKER_QUEUES.items()]
        return [*map(self._api, self._api_names()), *workers]

    def _api_names(self) -> tuple[str, ...]:
        return api_processes.names(
            self.settings.api_processes, is_replaced=api_processes.FIRST in self.commands
        )

    def owner_environment(self) -> dict[str, str]:
        """The environment of migrations and of the first key, which act as the schema's owner."""
        owner = self.postgres.url(OWNER_ROLE)
        return self.service_environment() | {"MUNIMENT_DATABASE__OWNER_URL": owner}

    def service_environment(self) -> dict[str, str]:
        """The environment of our own processes: the user's settings, and where things are here."""
        home = self.home
        settings = {
            HOME_VARIABLE: str(home.root),
            MARK: str(home.root),
            "MUNIMENT_API__PORT": str(self.places.api),
            "MUNIMENT_DATABASE__URL": self.postgres.url(APPLICATION_ROLE),
            "MUNIMENT_TEMPORAL__ADDRESS": self.temporal.address,
            "MUNIMENT_TEMPORAL__NAMESPACE": NAMESPACE,
            "MUNIMENT_TEMPORAL__UI_URL": self.temporal.ui_url,
        }
        defaults = {
            "MUNIMENT_API__HOST": LOOPBACK,
            OBJECTS_VARIABLE: str(home.objects),
            KEYS_VARIABLE: str(home.keys),
            MODELS_VARIABLE: str(model_directory()),
        }
        if self.scanner.address:
            defaults[SOCKET_VARIABLE] = self.scanner.address
        kept = {
            name: value
            for name, value in self.environment.items()
            if name not in _COMMAND_LINE_ONLY
        }
        return defaults | kept | settings | _LIBRARY_SETTINGS

    def _api(self, name: str) -> ProcessSpec:
        """Each of several has a session of its own, and so a process's part of the cores."""
        count = len(self._api_names())
        is_one_of_several = count > 1
        shared = ("--shared-port",) if is_one_of_several else ()

        async def ready(process_id: int, _started: float) -> bool:
            if is_one_of_several and not await api_processes.listens(process_id, self.places.api):
                return False
            return await api_processes.is_healthy(self.api_url)

        return ProcessSpec(
            name=name,
            command=self._command(name, python_module("api", *shared)),
            environment={RATE_LIMITS_VARIABLE: str(count)}
            | self.service_environment()
            | self._api_metrics_port(name),
            ready=ready,
            ready_seconds=180.0,
            # Whoever asks it waits; most of what workers do nobody waits for.
            own_session=True,
            most_missed_pulses=self.settings.hung_seconds,
        )

    def _worker(self, name: str, polled: tuple[str, ...]) -> ProcessSpec:
        async def ready(_process_id: int, started: float) -> bool:
            return not await self.temporal.unpolled(polled, since=started)

        return ProcessSpec(
            name=name,
            command=self._command(name, python_module("worker", "--queues", ",".join(polled))),
            environment=self.service_environment() | self._worker_metrics_port(name),
            ready=ready,
            ready_seconds=300.0,
            own_session=True,
            session_niceness=self.settings.background_niceness,
            most_missed_pulses=self.settings.hung_seconds,
        )

    def _command(self, name: str, command: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(shlex.split(self.commands[name])) if name in self.commands else command

    def _worker_metrics_ports(self) -> dict[str, int]:
        """Each worker's own: the port that the user named is the first worker's."""
        first = self.environment.get(WORKER_METRICS_VARIABLE, "")
        if not first.isdecimal():
            return {}
        return {name: int(first) + place for place, name in enumerate(WORKER_QUEUES)}

    def _worker_metrics_port(self, name: str) -> dict[str, str]:
        ports = self._worker_metrics_ports()
        return {WORKER_METRICS_VARIABLE: str(ports[name])} if ports else {}

    def _api_metrics_port(self, name: str) -> dict[str, str]:
        first = self.environment.get(api_processes.METRICS_VARIABLE, "")
        taken = {*self.places.ports(), *self._worker_metrics_ports().values()}
        ports = api_processes.metrics_ports(self._api_names(), first, taken)
        return {api_processes.METRICS_VARIABLE: ports[name]} if ports else {}

    def _marked(self, spec: ProcessSpec) -> ProcessSpec:
        return replace(spec, environment={**spec.environment, MARK: str(self.home.root)})


def require_connections(settings: Settings) -> None:
    """Raises ConfigurationError where our processes may open more connections than their PostgreSQL takes,
    which would be noticed under load alone."""
    processes = len(api_processes.names(settings.embedded.api_processes, is_replaced=False))
    each = settings.database.pool_size + 1  # which listens
    wanted = (processes + len(WORKER_QUEUES)) * each + _OTHER_CONNECTIONS
    if wanted > MOST_CONNECTIONS:
        raise ConfigurationError(
            f"{processes} API processes and {len(WORKER_QUEUES)} workers may need {wanted} connections with"
            f" {each} for each, and the embedded PostgreSQL takes {MOST_CONNECTIONS}",
            remedy="Lower MUNIMENT_EMBEDDED__API_PROCESSES or MUNIMENT_DATABASE__POOL_SIZE.",
        )


async def plan_stack(
    home: Home,
    places: Places,
    log: RotatingLog,
    *,
    commands: Mapping[str, str],
    settings: EmbeddedSettings,
    shows_payloads: bool = False,
) -> EmbeddedStack:
    """The stack of a home. `shows_payloads` tells Temporal's Web UI to have the API decode them."""
    codec = f"http://{LOOPBACK}:{places.api}/v1/temporal/codec" if shows_payloads else None
    return EmbeddedStack(
        home=home,
        places=places,
        environment=dict(os.environ),
        commands=commands,
        postgres=PostgresCluster(home, places, log),
        temporal=TemporalServer(home, places, codec),
        scanner=await choose_scanner(home, places, os.environ),
        settings=settings,
    )

# ruff: noqa: ARG001 — structlog calls every processor with logger, method and event
"""One JSON object per line, for our loggers and everyone's that uses `logging`.

    {"time": "2026-01-31T12:00:00.123456Z", "level": "info", "event": "…", "logger": "api.files",
     "process": "api", "request_id": "…", "trace_id": "…", "span_id": "…", "tenant_id": "…", …}

Values under names that speak of secrets or of content are replaced, in nested values too.
"""

import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import date
from enum import Enum
from pathlib import PurePath
from typing import TextIO
from uuid import UUID

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

WITHHELD = "[withheld]"
_SECRET_PARTS = (
    "password", "passwd", "passphrase", "authorization", "cookie", "token", "secret", "api_key",
    "apikey", "access_key", "private_key", "data_key", "credential", "dsn",
)  # fmt: skip
_CONTENT_NAMES = frozenset(
    {"text", "content", "body", "plaintext", "quote", "question", "query", "payload", "prompt"}
)
_COUNTED_SUFFIXES = ("_count", "_bytes", "_seconds", "_limit", "_length", "_id")
_MAX_FRAMES = 12
"""Of each exception: the innermost, which say where it happened."""
_DEEPEST = 6
"""How deep nested values are looked through; what lies deeper is withheld."""


def configure_logging(process: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Routes structlog and `logging` to JSON lines on `stream` (standard error if not given).

    `process` names the process (api, worker, …) in each line. For composition roots, once.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _adding_process(process),
        _add_trace,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.ExceptionRenderer(_without_messages),
            withhold_secrets,
            structlog.processors.JSONRenderer(default=_described),
        ],
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for former in root.handlers[:]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level.upper())
    _quieten()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def withhold_secrets(logger: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
    """Replaces values by their names: secrets wherever the name occurs, content by exact name."""
    for name, value in event_dict.items():
        event_dict[name] = WITHHELD if _is_withheld(name) else _looked_through(value, 1)
    return event_dict


def _is_withheld(name: str) -> bool:
    lowered = name.lower().replace("-", "_")
    if lowered.endswith(_COUNTED_SUFFIXES):
        # `token_count` or `api_key_id` tell nothing that needs hiding.
        return False
    return lowered in _CONTENT_NAMES or any(part in lowered for part in _SECRET_PARTS)


def _looked_through(value: object, depth: int) -> object:
    if isinstance(value, Mapping | list | tuple) and depth >= _DEEPEST:
        return WITHHELD
    if isinstance(value, Mapping):
        return {
            str(name): WITHHELD if _is_withheld(str(name)) else _looked_through(inner, depth + 1)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_looked_through(inner, depth + 1) for inner in value]
    return WITHHELD if isinstance(value, bytes) else value


def _without_messages(exc_info: ExcInfo) -> str:
    """Kinds and places of an exception and of its causes.

    Messages stay out: those of parsers and of the database quote what they stumbled over.
    """
    told = []
    seen = set[int]()
    error: BaseException | None = exc_info[1]
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
        places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        told.append("\n".join([f"{type(error).__module__}.{type(error).__qualname__}", *places]))
        error = error.__cause__ or error.__context__
    return "\nbecause of ".join(told)


def _described(value: object) -> str:
    """What stands for a value that JSON lacks: ids, times and paths in words, else its type.

    A `repr` could show a whole document.
    """
    if isinstance(value, UUID | date | PurePath | Enum):
        return str(value)
    return f"<{type(value).__name__}>"


def _adding_process(process: str) -> Processor:
    def add_process(logger: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
        event_dict["process"] = process
        return event_dict

    return add_process


def _add_trace(logger: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event_dict["trace_id"] = trace.format_trace_id(context.trace_id)
        event_dict["span_id"] = trace.format_span_id(context.span_id)
    return event_dict


def _quieten() -> None:
    """Loggers of libraries that would say too much, or say it past our handler."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # These log URLs and headers of every request, or fonts and tokens of documents.
    for name in ("httpx", "httpcore", "urllib3", "uvicorn.access", "presidio-analyzer", "docling"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It logs whole answers of AWS KMS, and so data keys.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # It warns of malformed bodies with bytes out of them; the request's own line says it was refused.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)

"""`python3 -m deploy.setup`, run by `make setup`: idempotent, silent about what is done already."""

import os
import shutil
import sys
import time

_OLDEST_PYTHON = (3, 11)


def main() -> int:
    if sys.version_info < _OLDEST_PYTHON:
        sys.stderr.write(
            f"Muniment needs Python 3.11 or newer; this is {sys.version.split()[0]}. "
            "Install one, or name it: `make setup PYTHON=/path/to/python3.12`.\n"
        )
        return 1
    # Only now: these modules are written for the Python that they need.
    from deploy.setup.python_environment import prepare_python_environment
    from deploy.setup.steps import SetupFailed, say
    from deploy.setup.temporal_cli import prepare_temporal_cli

    began = time.monotonic()
    try:
        prepare_python_environment()
        prepare_temporal_cli()
        _prepare_virus_scanner()
        _prepare_embedding_model()
    except SetupFailed as error:
        sys.stderr.write(f"setup failed: {error}\n")
        return 1
    say(f"setup: everything is in place ({time.monotonic() - began:.1f} s)")
    return 0


def _prepare_embedding_model() -> None:
    """The model for ONNX Runtime, made from its packaged weights in the user's cache."""
    from pathlib import Path

    from deploy.setup.python_environment import LOCK
    from deploy.setup.steps import CACHE, VENV_PYTHON, fingerprint, run, step

    place = CACHE / "embedding-model.path"

    def is_there() -> bool:
        return place.exists() and (Path(place.read_text(encoding="utf-8")) / "model.onnx").exists()

    def prepare() -> str:
        folder = run(
            [VENV_PYTHON, "-m", "deploy.setup.embedding_model"],
            timeout_seconds=300,
            failure="The embedding model was not prepared.",
        ).strip()
        place.write_text(folder, encoding="utf-8")
        return f"in {folder}"

    step("embedding model", fingerprint(LOCK), is_there, prepare)


def _prepare_virus_scanner() -> None:
    """clamd where the distribution has it and we may install it; without it files go unscanned."""
    from deploy.setup.steps import SetupFailed, run, say, step

    def install() -> str:
        if shutil.which("clamd"):
            return "clamd is installed"
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            return (
                "no clamd, and installing it needs root: files will be taken in `unscanned`. "
                "Mend it with your distribution's ClamAV packages (clamav-daemon, clamav-freshclam)"
            )
        say("setup: installing the virus scanner (apt-get install clamav-daemon) …")
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "--no-install-recommends"]
        try:
            run(["apt-get", "update"], timeout_seconds=300, environment=environment, failure="")
            run(
                [*install, "clamav-daemon", "clamav-base"],
                timeout_seconds=600,
                environment=environment,
                failure="",
            )
        except SetupFailed as error:
            return f"clamd could not be installed, files will be `unscanned`: {error}"
        return "clamd is installed; its signatures come from `freshclam`, run it where it can"

    step("virus scanner", "1", lambda: True, install)


if __name__ == "__main__":
    sys.exit(main())

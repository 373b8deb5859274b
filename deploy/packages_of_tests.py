"""Packages of the distribution that only tests need: without them a part of Muniment is not tried."""

import os
import shutil
import subprocess
import sys

PACKAGES = (
    *("bubblewrap", "tesseract-ocr-eng", "unzip"),
    *("libreoffice-writer-nogui", "libreoffice-calc-nogui", "libreoffice-impress-nogui"),
)
_INSTALL_SECONDS = 900


def install_packages_of_tests() -> None:
    """Where they are absent, apt is there, and we are root. Else, or where it fails, the tests that
    need them say what they miss."""
    if os.geteuid() != 0 or not (shutil.which("apt-get") and shutil.which("dpkg-query")):
        return
    missing = [package for package in PACKAGES if not _is_installed(package)]
    if not missing:
        return
    sys.stdout.write(f"installing for the tests: {' '.join(missing)}\n")
    sys.stdout.flush()
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
    ):
        try:
            subprocess.run(
                command,
                env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                check=True,
                timeout=_INSTALL_SECONDS,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            sys.stdout.write(f"they were not installed: {error}\n")
            return


def _is_installed(package: str) -> bool:
    answer = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return answer.stdout == "installed"

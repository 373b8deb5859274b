"""`python -m worker.audit_keys show|rotate`: the keys that sign the audit trail's checkpoints.

`show` prints the verifier keys, the newest last: whoever verifies keeps them elsewhere. `rotate` makes a key
that signs from the next start of the workers on; what was signed before is verified by the former ones.
"""

import argparse
import sys

from muniment.audit.signing_keys import load_signing_keys, rotate_signing_key
from muniment.errors import MunimentError
from muniment.settings import load_settings
from muniment.stores import AUDIT_KEY_FILE


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="worker.audit_keys", description=__doc__)
    parser.add_argument("command", choices=("show", "rotate"))
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        path = settings.keys.root / AUDIT_KEY_FILE
        keys = load_signing_keys(path, settings.audit.origin)
        if options.command == "rotate":
            rotate_signing_key(path)
            keys = load_signing_keys(path, settings.audit.origin)
    except MunimentError as error:
        sys.stderr.write(f"{error.detail}\n{error.remedy}\n")
        return 1
    for key in keys.verifier_keys:
        sys.stdout.write(f"{key.written()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

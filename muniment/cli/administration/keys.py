"""`muniment keys`: the tenant's key, and its rotations."""

from muniment.cli.failures import reported
from muniment.cli.options import AsJson, Home, Limit, group_of_commands

keys = group_of_commands("The tenant's key.")


@keys.command("rotate")
def rotate(home: Home = None, as_json: AsJson = False) -> None:
    """Give the tenant a new key, and retire the old one once nothing hangs on it."""
    with reported():
        from muniment.cli.keys import rotate_keys

        rotate_keys(home, as_json=as_json)


@keys.command("rotations")
def rotations(limit: Limit = 20, home: Home = None, as_json: AsJson = False) -> None:
    """List rotations, newest first, and how far they have come."""
    with reported():
        from muniment.cli.keys import list_rotations

        list_rotations(limit, home, as_json=as_json)

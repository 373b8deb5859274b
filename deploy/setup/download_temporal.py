"""`python -m deploy.setup.download_temporal FOLDER VERSION`: has the SDK download the CLI."""

import asyncio
import os
import sys

from temporalio.testing import WorkflowEnvironment


async def main(folder: str, version: str) -> None:
    """Starts and ends a development server, which leaves the program in the folder."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_download_version=version, download_dest_dir=folder
    )
    await environment.shutdown()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
    os._exit(0)  # the SDK's threads may abort an ordinary exit

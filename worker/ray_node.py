"""`python -m worker.ray_node`: a Ray of this machine's own, for as long as standard input is open.

Started by a worker of the GPU queue, in an environment without our settings: neither the replicas
nor Ray's own processes are told a key or an address of ours. Writes one line, Ray's address. When
the worker ends or dies, its end of the pipe closes, and everything here ends.
"""

import argparse
import shutil
import sys

import ray

from muniment.opened_content import MEMORY_ROOT


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="worker.ray_node", description=__doc__)
    parser.add_argument("--cpus", type=float, required=True)
    parser.add_argument("--gpus", type=float, default=None)
    parser.add_argument("--object-store-bytes", type=int, required=True)
    parser.add_argument("--folder", required=True, help="for sockets and logs; removed at the end")
    options = parser.parse_args(arguments)
    try:
        ray.init(
            num_cpus=options.cpus,
            num_gpus=options.gpus,
            object_store_memory=options.object_store_bytes,
            include_dashboard=False,
            configure_logging=False,
            log_to_driver=False,
            _temp_dir=options.folder,
            # Where this is too small Ray would take the temporary folder, on a disk.
            _plasma_directory=str(MEMORY_ROOT),
            # Pages never lie on disk unsealed: what does not fit in memory is refused.
            _system_config={"automatic_object_spilling_enabled": False},
        )
        sys.stdout.write(f"{ray.get_runtime_context().gcs_address}\n")
        sys.stdout.flush()
        sys.stdin.read()
        ray.shutdown()
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

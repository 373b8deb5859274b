"""Benchmarks: Muniment beside the bare parts that it is made of. `python -m bench`."""

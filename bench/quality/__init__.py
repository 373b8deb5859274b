"""How well documents are read: `python -m bench.quality`, measured on the larger test data."""

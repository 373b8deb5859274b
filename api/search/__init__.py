"""Search and cited answers."""

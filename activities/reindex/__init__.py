"""Building an index version beside the one that is searched."""

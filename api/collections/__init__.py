"""Collections of files."""

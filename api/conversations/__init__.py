"""Questions in a row, with their answers."""

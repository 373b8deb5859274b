"""Two versions of a file, compared by what was read of them."""

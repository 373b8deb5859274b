"""Stage `embed`: a vector for every chunk."""

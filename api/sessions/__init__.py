"""Sessions of browsers: a cookie instead of a token, and what keeps other pages from using it."""

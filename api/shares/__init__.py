"""Share links, as those who make them manage them."""

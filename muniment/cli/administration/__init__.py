"""What operators and administrators do by hand: a file per resource, with its commands."""

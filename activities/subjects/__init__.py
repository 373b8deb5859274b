"""What there is of a person: found, handed out, erased."""

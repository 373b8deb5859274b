"""What happened to files, as their readers see it."""

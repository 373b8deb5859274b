"""What people write on files, and where it stands in each version."""

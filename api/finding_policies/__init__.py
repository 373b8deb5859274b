"""What is to become of findings."""

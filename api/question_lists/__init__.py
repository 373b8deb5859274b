"""Lists of questions from a CSV file, and their answers as one."""

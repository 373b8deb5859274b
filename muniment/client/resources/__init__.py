"""What the API keeps besides files and jobs: a file per resource, with its models, calls and methods."""

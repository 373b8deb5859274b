"""Legal holds: matters under which nothing may be changed or erased."""

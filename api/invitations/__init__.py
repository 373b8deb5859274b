"""Who may become a principal by a secret that is good once."""

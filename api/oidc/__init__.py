"""People whom an OpenID Connect provider vouches for: its access tokens, and whom they mean here."""

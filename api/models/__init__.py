"""The language models that may be asked, and what they cost the tenant."""

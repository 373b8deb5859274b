"""Whether an answer is told again to a question that is nearly the same: a tenant's own choice."""

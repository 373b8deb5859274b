"""Progress to browsers: server-sent events of one job, or of all jobs of a tenant."""

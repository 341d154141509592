"""A run as a file for other runtimes, compared before it counts."""

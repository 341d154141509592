"""A run as a file for other runtimes, compared with deeplax before it counts."""

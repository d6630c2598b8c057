"""Models from files that KerasHub does not read."""

"""Growth files: the new slices of a model, apart from its base."""

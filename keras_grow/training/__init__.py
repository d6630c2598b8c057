"""Losses and options of a training run."""

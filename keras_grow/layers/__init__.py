"""Keras layers that know nothing of any model."""

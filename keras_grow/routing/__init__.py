"""The router: picks the growth for each prompt, and answers with it."""

from keras_grow.routing.grouped import Routes
from keras_grow.routing.judge import HeldOut
from keras_grow.routing.router import GrowthRouter

__all__ = ["GrowthRouter", "HeldOut", "Routes"]

"""The router: which growth is a prompt for, and its answer by that growth."""

from keras_grow.routing.grouped import Routes
from keras_grow.routing.judge import HeldOut
from keras_grow.routing.router import GrowthRouter

__all__ = ["GrowthRouter", "HeldOut", "Routes"]

"""The paper's own formulation: an MLP of Dense layers, no KerasHub."""

import keras
import numpy as np

import keras_grow

x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
y = x[:, :4] ** 2

up = keras.layers.Dense(32, activation="relu")
down = keras.layers.Dense(4)
mlp = keras.Sequential([keras.Input((8,)), up, down])
mlp.compile(optimizer="adam", loss="mse")
mlp.fit(x, y, epochs=5, verbose=0)
before = mlp.predict(x, verbose=0)

(grown_up,), grown_down = keras_grow.grow_mlp(up, down, factor=2)
grown = keras.Sequential([keras.Input((8,)), grown_up, grown_down])
difference = abs(grown.predict(x, verbose=0) - before).max()
print(f"largest difference after growing: {difference}")

grown.compile(optimizer="adam", loss="mse")
losses = grown.fit(x, -y, epochs=5, verbose=0).history["loss"]
print(f"new task: loss {losses[0]:.3f} -> {losses[-1]:.3f}")
difference = abs(mlp.predict(x, verbose=0) - before).max()
print(f"change of the base: {difference}")

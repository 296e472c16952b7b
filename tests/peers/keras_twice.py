"""Usage: keras_twice.py LOGDIR. Calls fit() twice with one callback, as who trains the head of a model first and then all of it."""

import sys

import keras
import numpy as np

x = np.linspace(0, 1, 16).astype("f4")[:, None]
model = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1)])
model.compile("sgd", "mse")
callback = keras.callbacks.TensorBoard(sys.argv[1], write_graph=False)
for _ in range(2):
    model.fit(x, 2 * x, epochs=3, callbacks=[callback], verbose=0)

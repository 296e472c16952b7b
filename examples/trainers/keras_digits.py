"""A small network of Keras with its TensorBoard callback, as TensorBoard's own tutorial has it."""
import argparse
import datetime

import keras
from sklearn.datasets import load_digits

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--units", type=int, default=32)
args = parser.parse_args()

x, y = load_digits(return_X_y=True)
model = keras.Sequential([
    keras.layers.Input((64,)),
    keras.layers.Dense(args.units, activation="relu"),
    keras.layers.Dense(10, activation="softmax"),
])
model.compile(optimizer=keras.optimizers.Adam(args.lr), loss="sparse_categorical_crossentropy", metrics=["accuracy"])

log_dir = "logs/fit/" + datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
tensorboard_callback = keras.callbacks.TensorBoard(log_dir=log_dir)
model.fit(x / 16, y, epochs=5, validation_split=0.2, verbose=0, callbacks=[tensorboard_callback])

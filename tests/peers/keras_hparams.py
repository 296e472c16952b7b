"""Usage: keras_hparams.py LAYOUT LOGDIR. Trains as TensorBoard's HParams tutorial does: the curves of two trainings in LOGDIR/run-N/train
and LOGDIR/run-N/validation, the hyperparameters in LOGDIR/run-N by hp.KerasCallback (above), or in LOGDIR/run-N/train (beside)."""

import os
import sys

import keras
import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hp

layout, logdir = sys.argv[1:]
UNITS = hp.HParam("num_units", hp.Discrete([16, 32]))
OPTIMIZER = hp.HParam("optimizer", hp.Discrete(["adam", "sgd"]))
with tf.summary.create_file_writer(logdir).as_default():
    hp.hparams_config(hparams=[UNITS, OPTIMIZER], metrics=[hp.Metric("epoch_loss", group="validation")])
x = np.linspace(0, 1, 16).astype("f4")[:, None]
for i, hparams in enumerate([{UNITS: 16, OPTIMIZER: "adam"}, {UNITS: 32, OPTIMIZER: "sgd"}]):
    directory = os.path.join(logdir, f"run-{i}")
    model = keras.Sequential([keras.layers.Dense(hparams[UNITS]), keras.layers.Dense(1)])
    model.compile(hparams[OPTIMIZER], "mse")
    callbacks = [keras.callbacks.TensorBoard(directory, write_graph=False)]
    if layout == "above":
        callbacks.append(hp.KerasCallback(directory, hparams))
    model.fit(x, 2 * x, epochs=2, validation_data=(x, 2 * x), callbacks=callbacks, verbose=0)
    if layout == "beside":
        with tf.summary.create_file_writer(os.path.join(directory, "train")).as_default():
            hp.hparams(hparams)

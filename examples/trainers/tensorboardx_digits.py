"""A network of one hidden layer, in numpy, that logs with tensorboardX as its README shows."""
import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tensorboardX import SummaryWriter

options = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
lr, hidden = float(options["lr"]), int(options["hidden"])

x, y = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x / 16, y, random_state=0)
rng = np.random.default_rng(0)
w1, w2 = rng.normal(0, 0.1, (64, hidden)), rng.normal(0, 0.1, (hidden, 10))


def forward(x):
    h = np.maximum(x @ w1, 0)
    z = h @ w2
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return h, p / p.sum(axis=1, keepdims=True)


writer = SummaryWriter()
for epoch in range(20):
    for batch in np.array_split(rng.permutation(len(x_train)), 40):
        xb, yb = x_train[batch], y_train[batch]
        h, p = forward(xb)
        p[np.arange(len(yb)), yb] -= 1
        p /= len(yb)
        w2_step, w1_step = h.T @ p, xb.T @ ((p @ w2.T) * (h > 0))
        w1 -= lr * w1_step
        w2 -= lr * w2_step
    for name, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        _, p = forward(x)
        writer.add_scalar(f"{name}/loss", -np.log(p[np.arange(len(y)), y] + 1e-9).mean(), epoch)
        writer.add_scalar(f"{name}/accuracy", (p.argmax(axis=1) == y).mean(), epoch)
writer.close()

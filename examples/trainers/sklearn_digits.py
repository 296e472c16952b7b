"""A linear classifier of scikit-learn, trained in passes, with its score logged by tensorboardX."""
import argparse

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from tensorboardX import SummaryWriter

parser = argparse.ArgumentParser()
parser.add_argument("--alpha", type=float, default=1e-4)
parser.add_argument("--penalty", default="l2")
args = parser.parse_args()

x, y = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
model = SGDClassifier(loss="log_loss", alpha=args.alpha, penalty=args.penalty, random_state=0)

writer = SummaryWriter()
for step in range(30):
    model.partial_fit(x_train, y_train, classes=range(10))
    writer.add_scalar("score/train", model.score(x_train, y_train), step)
    writer.add_scalar("score/test", model.score(x_test, y_test), step)
writer.close()

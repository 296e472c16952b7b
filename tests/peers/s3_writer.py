"""A trainer that writes to the object store it is given, with tensorboardX."""
import sys

from tensorboardX import SummaryWriter

options = dict(word.lstrip("-").split("=", 1) for word in sys.argv[1:])
writer = SummaryWriter(options["job-dir"])
for step in range(5):
    writer.add_scalar("acc", int(options["x"]) / 1024 + step, step)
writer.close()

"""A small network of PyTorch that logs with SummaryWriter(), as PyTorch's tutorial shows."""
import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split
from torch.utils.tensorboard import SummaryWriter

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--hidden", type=int, default=32)
args = parser.parse_args()

torch.manual_seed(0)
x, y = load_digits(return_X_y=True)
data = TensorDataset(torch.tensor(x / 16, dtype=torch.float32), torch.tensor(y))
train, test = random_split(data, [0.8, 0.2])
model = nn.Sequential(nn.Linear(64, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)

writer = SummaryWriter()
for epoch in range(10):
    for images, labels in DataLoader(train, batch_size=32, shuffle=True):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        images, labels = next(iter(DataLoader(test, batch_size=len(test))))
        accuracy = (model(images).argmax(dim=1) == labels).float().mean()
    writer.add_scalar("Loss/train", loss, epoch)
    writer.add_scalar("Accuracy/test", accuracy, epoch)
writer.close()

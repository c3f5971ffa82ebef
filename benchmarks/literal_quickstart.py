"""The quickstart's training as its readers run it: a DataLoader, ToTensor per image, SGD, a test after each epoch."""

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

from toolkit.fashion.model import Mlp


def main(root: str) -> None:
    parts = [FashionMNIST(root, train=train, transform=ToTensor()) for train in (True, False)]
    training, test = (DataLoader(part, batch_size=64) for part in parts)
    model = Mlp()
    loss_fn, optimizer = nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=1e-3)
    for epoch in range(5):
        model.train()
        for batch, (images, labels) in enumerate(training):
            loss = loss_fn(model(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            if batch % 100 == 0:
                print(f"loss: {loss.item():>7f}")
        model.eval()
        with torch.no_grad():
            right = sum((model(images).argmax(1) == labels).sum().item() for images, labels in test)
        print(f"epoch {epoch + 1}: {right / len(parts[1]):.2%}")
    torch.save(model.state_dict(), "model.pth")


if __name__ == "__main__":
    torch.manual_seed(0)
    main(sys.argv[1])

"""A plain PyTorch training of LeNet-5, as one writes it for a sweep: Adam, a cosine, validation after every epoch."""

import math

import numpy as np
import torch
from torch import nn
from torch_loop import lenet5, prepared


def trained(data: str, *, learning_rate: float, seed: int, epochs: int, batch: int = 32) -> float:
    """Validation accuracy after training; reads the data as every job of a sweep does."""
    torch.manual_seed(seed)
    with np.load(data) as arrays:
        x = prepared(torch.from_numpy(arrays["x_train"]), 32)
        y = torch.from_numpy(arrays["y_train"]).long()
        x_val = prepared(torch.from_numpy(arrays["x_val"]), 32)
        y_val = torch.from_numpy(arrays["y_val"]).long()
    model, loss_of = lenet5(x.shape[1]), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    steps = epochs * (len(y) // batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    accuracy = 0.0
    for _ in range(epochs):
        model.train()
        for index in torch.randperm(len(y))[: len(y) // batch * batch].split(batch):
            optimizer.zero_grad(set_to_none=True)
            loss_of(model(x[index]), y[index]).backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            right = sum(
                int((model(a).argmax(1) == b).sum()) for a, b in zip(x_val.split(256), y_val.split(256), strict=True)
            )
        accuracy = right / len(y_val)
    return accuracy

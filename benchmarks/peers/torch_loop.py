"""The tight PyTorch loop: data in memory, eager, channels_last where that is faster.

    python benchmarks/peers/torch_loop.py --model lenet5 --data mnist.npz --batch 128 --steps 100 --blocks 7

Prints one line of JSON for every block of steps: the seconds it took, after a block that is not counted.
"""

import torch
from blocks import arguments, batches, read, report
from torch import nn


def lenet5(channels: int) -> nn.Module:
    """LeNet-5 with ReLU and max pooling, for 32×32 images."""
    return nn.Sequential(
        *(nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def vgg6_cifar(channels: int) -> nn.Module:
    """Three pairs of 3×3 convolutions with batch normalisation, 32, 64 and 128 filters, and two dense layers."""
    layers: list[nn.Module] = []
    for filters in (32, 64, 128):
        for _ in range(2):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()]
            channels = filters
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(2048, 128), nn.ReLU(), nn.Linear(128, 10))


class Residual(nn.Module):
    """Two convolutions beside a shortcut that, where sizes change, drops pixels and adds channels of zeros."""

    def __init__(self, inputs: int, filters: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(inputs, filters, 3, stride, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()),
            *(nn.Conv2d(filters, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters)),
        )
        self.stride, self.missing = stride, filters - inputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.missing:
            shortcut = nn.functional.pad(shortcut, (0, 0, 0, 0, self.missing // 2, self.missing - self.missing // 2))
        return torch.relu(self.body(x) + shortcut)


def resnet20_cifar(channels: int) -> nn.Module:
    """He's ResNet-20 for CIFAR, with shortcuts without parameters."""
    layers = [nn.Conv2d(channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    inputs = 16
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        for index in range(3):
            layers.append(Residual(inputs, filters, stride if index == 0 else 1))
            inputs = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def alexnet(channels: int) -> nn.Module:
    """AlexNet of Krizhevsky's second paper (2014), for 1,000 classes at 224×224."""
    return nn.Sequential(
        *(nn.Conv2d(channels, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten()),
        *(nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()),
        nn.Linear(4096, 1000),
    )


class Projected(Residual):
    """The same with a 1×1 convolution on the shortcut where sizes change."""

    def __init__(self, inputs: int, filters: int, stride: int) -> None:
        super().__init__(inputs, filters, stride)
        self.shortcut = nn.Identity()
        if stride > 1 or self.missing:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet18(channels: int) -> nn.Module:
    """He's ResNet-18, for 1,000 classes at 224×224."""
    layers = [nn.Conv2d(channels, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for filters, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for index in range(2):
            layers.append(Projected(inputs, filters, stride if index == 0 else 1))
            inputs = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


MODELS = {
    "lenet5": lenet5,
    "vgg6_cifar": vgg6_cifar,
    "resnet20_cifar": resnet20_cifar,
    "alexnet": alexnet,
    "resnet18": resnet18,
}


def prepared(inputs: torch.Tensor, size: int) -> torch.Tensor:
    """uint8 (n, h, w, c) as normalised floats (n, c, h, w), at the size of the network's input."""
    x = inputs.permute(0, 3, 1, 2).float() / 255
    if x.shape[-1] != size:
        x = nn.functional.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
    return (x - x.mean()) / x.std()


def main() -> None:
    """Trains and reports."""
    options = arguments(__doc__)
    torch.manual_seed(0)
    inputs, labels = (torch.from_numpy(array) for array in read(options.data))
    x, y = prepared(inputs, max(32, inputs.shape[1])), labels.long()
    model = MODELS[options.model](x.shape[1])
    if options.variant == "channels_last":
        x, model = x.contiguous(memory_format=torch.channels_last), model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_of = nn.CrossEntropyLoss()

    def block(indices: list[torch.Tensor]) -> float:
        total = torch.zeros(())
        for index in indices:
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(model(x[index]), y[index])
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return float(total) / len(indices)

    order = [torch.from_numpy(index) for index in batches(len(y), options.batch, options.steps)]
    report(options, lambda: block(order))


if __name__ == "__main__":
    main()

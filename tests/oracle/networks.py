"""Networks written in PyTorch, in the words of its common libraries, each beside the same one in our YAML."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Pair:
    """One network twice: a PyTorch module, and what a command line would say of ours."""

    theirs: Callable[[], nn.Module]
    ours: tuple[str, ...]
    shape: tuple[int, int, int]  # (h, w, c) of one image


def layers(*lines: str) -> str:
    """A layer list as an override."""
    return f"model.layers=[{', '.join(lines)}]"


# LeNet-5 ---------------------------------------------------------------------------------------------------------


class LeNet5(nn.Module):
    """LeCun et al. 1998, with ReLU and max pooling; attributes named as tutorials name them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pool = nn.functional.max_pool2d
        x = pool(self.conv1(x).relu(), 2)
        x = pool(self.conv2(x).relu(), 2)
        x = self.fc1(x.flatten(1)).relu()
        return self.fc3(self.fc2(x).relu())


# VGG-11 ----------------------------------------------------------------------------------------------------------

VGG11 = (64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M")


class Vgg(nn.Module):
    """Simonyan & Zisserman 2014, for 64×64 images: 2×2×512 features reach the dense layers, of 96 units here."""

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        channels = 3
        for width in VGG11:
            if width == "M":
                parts.append(nn.MaxPool2d(2))
            else:
                parts += [nn.Conv2d(channels, int(width), 3, padding=1), nn.ReLU()]
                channels = int(width)
        self.features = nn.Sequential(*parts)
        self.classifier = nn.Sequential(
            nn.Linear(2048, 96), nn.ReLU(), nn.Dropout(0.0), nn.Linear(96, 96), nn.ReLU(), nn.Dropout(0.0),
            nn.Linear(96, 10),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).flatten(1))


VGG11_LAYERS = layers(
    *(
        "{max_pool: {size: 2}}" if width == "M" else f"{{conv: {{filters: {width}, kernel_size: 3, padding: 1}}}}, relu"
        for width in VGG11
    ),
    *("flatten", "{dense: {units: 96}}", "relu", "{dropout: {rate: 0.0}}"),
    *("{dense: {units: 96}}", "relu", "{dropout: {rate: 0.0}}", "classifier"),
)


# ResNet-18 -------------------------------------------------------------------------------------------------------


class BasicBlock(nn.Module):
    """He et al. 2015, with the shortcut registered last, as torchvision does it."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = None
        if stride > 1 or inputs != width:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet18(nn.Module):
    """The network of four stages of two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))
        self.fc = nn.Linear(512, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


# DenseNet --------------------------------------------------------------------------------------------------------


class DenseLayer(nn.Module):
    """Huang et al. 2016: normalisation and ReLU before each convolution, a 1×1 before the 3×3."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv1(self.norm1(x).relu())
        return torch.cat([x, self.conv2(self.norm2(y).relu())], 1)


class Transition(nn.Sequential):
    """Halves channels, height and width."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(inputs, inputs // 2, 1, bias=False)
        self.pool = nn.AvgPool2d(2)


class DenseNet(nn.Module):
    """Two blocks of three and two layers that each add 8 channels to 16; named as torchvision names them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, 16, 7, 2, 3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(16))
        self.features.add_module("relu0", nn.ReLU())
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
        channels = 16
        for number, count in enumerate((3, 2), 1):
            block = nn.Sequential()
            for index in range(1, count + 1):
                block.add_module(f"denselayer{index}", DenseLayer(channels, 8))
                channels += 8
            self.features.add_module(f"denseblock{number}", block)
            if number == 1:
                self.features.add_module("transition1", Transition(channels))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).relu().mean((2, 3)))


BN_RELU = "batch_norm, relu"
DENSE_LAYER = (
    f"{{dense_connection: {{layers: [{BN_RELU}, {{conv: {{filters: 32, kernel_size: 1, use_bias: false}}}}, "
    f"{BN_RELU}, {{conv: {{filters: 8, kernel_size: 3, padding: 1, use_bias: false}}}}]}}}}"
)
DENSENET_LAYERS = layers(
    "{conv: {filters: 16, kernel_size: 7, stride: 2, padding: 3, use_bias: false}}",
    *(BN_RELU, "{max_pool: {size: 3, stride: 2, padding: 1}}"),
    *(f"{{repeat: {{times: 3, layers: [{DENSE_LAYER}]}}}}", BN_RELU),
    *("{conv: {filters: 20, kernel_size: 1, use_bias: false}}", "{avg_pool: {size: 2}}"),
    *(DENSE_LAYER, DENSE_LAYER, BN_RELU, "global_avg_pool", "classifier"),
)


# Inception -------------------------------------------------------------------------------------------------------


class ConvBn(nn.Module):
    """A convolution, its normalisation and ReLU."""

    def __init__(self, inputs: int, width: int, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, width, size, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(x)).relu()


class Inception(nn.Module):
    """Szegedy et al. 2014: four branches, the second and third narrowed before their 3×3."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch1 = ConvBn(inputs, 8, 1)
        self.branch2 = nn.Sequential(ConvBn(inputs, 6, 1), ConvBn(6, 8, 3))
        self.branch3 = nn.Sequential(ConvBn(inputs, 4, 1), ConvBn(4, 8, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), ConvBn(inputs, 8, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNet(nn.Module):
    """A stem and two such modules, then a dense layer on the flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvBn(3, 16, 3)
        self.inception3a = Inception(16)
        self.inception3b = Inception(32)
        self.fc = nn.Linear(32 * 16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.conv1(x), 2)
        x = nn.functional.max_pool2d(self.inception3b(self.inception3a(x)), 2)
        return self.fc(x.flatten(1))


def conv_bn(width: int, size: int) -> str:
    return f"{{conv: {{filters: {width}, kernel_size: {size}, padding: same, use_bias: false}}}}, {BN_RELU}"


INCEPTION = (
    f"{{branches: {{paths: [[{conv_bn(8, 1)}], [{conv_bn(6, 1)}, {conv_bn(8, 3)}], [{conv_bn(4, 1)}, {conv_bn(8, 3)}], "
    f"[{{max_pool: {{size: 3, stride: 1, padding: 1}}}}, {conv_bn(8, 1)}]]}}}}"
)
GOOGLENET_LAYERS = layers(
    *(conv_bn(16, 3), "{max_pool: {size: 2}}", INCEPTION, INCEPTION, "{max_pool: {size: 2}}", "flatten", "classifier")
)


# MobileNet -------------------------------------------------------------------------------------------------------


class InvertedResidual(nn.Module):
    """Sandler et al. 2018: wide inside, one filter per channel there, and a sum where shapes agree."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        inner = 6 * inputs
        self.residual = stride == 1 and inputs == width
        self.conv = nn.Sequential(
            nn.Sequential(nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()),
            nn.Sequential(
                nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), nn.BatchNorm2d(inner), nn.ReLU()
            ),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNet(nn.Module):
    """A stem and two such blocks."""

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.features = nn.Sequential(stem, InvertedResidual(8, 12, 2), InvertedResidual(12, 12, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.0), nn.Linear(12, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def inverted(inner: int, width: int, stride: int) -> str:
    return (
        f"{{conv: {{filters: {inner}, kernel_size: 1, use_bias: false}}}}, {BN_RELU}, "
        f"{{conv: {{filters: {inner}, kernel_size: 3, stride: {stride}, padding: 1, groups: {inner}, "
        "use_bias: false}}, "
        f"{BN_RELU}, {{conv: {{filters: {width}, kernel_size: 1, use_bias: false}}}}, batch_norm"
    )


MOBILENET_LAYERS = layers(
    *("{conv: {filters: 8, kernel_size: 3, stride: 2, padding: 1, use_bias: false}}", BN_RELU),
    *(inverted(48, 12, 2), f"{{residual: {{layers: [{inverted(72, 12, 1)}]}}}}"),
    *("global_avg_pool", "{dropout: {rate: 0.0}}", "classifier"),
)


PAIRS = {
    "lenet5": Pair(LeNet5, ("model=lenet5",), (32, 32, 1)),
    "vgg11": Pair(Vgg, ("model.name=vgg11", VGG11_LAYERS), (64, 64, 3)),
    "resnet18": Pair(ResNet18, ("model=resnet18",), (64, 64, 3)),
    "densenet": Pair(DenseNet, ("model.name=densenet", DENSENET_LAYERS), (32, 32, 3)),
    "inception": Pair(GoogLeNet, ("model.name=inception", GOOGLENET_LAYERS), (16, 16, 3)),
    "mobilenet": Pair(MobileNet, ("model.name=mobilenet", MOBILENET_LAYERS), (32, 32, 3)),
}

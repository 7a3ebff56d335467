"""The state dicts of torchvision's networks, as names and shapes in their order; written after its sources.

>>> dict(resnet("basic", (2, 2, 2, 2)))["conv1.weight"]
(64, 3, 7, 7)
"""

from collections.abc import Iterator

Entry = tuple[str, tuple[int, ...]]


def conv(name: str, outputs: int, inputs: int, size: int, *, bias: bool = False) -> Iterator[Entry]:
    yield f"{name}.weight", (outputs, inputs, size, size)
    if bias:
        yield f"{name}.bias", (outputs,)


def norm(name: str, channels: int) -> Iterator[Entry]:
    for last in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{last}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def linear(name: str, outputs: int, inputs: int) -> Iterator[Entry]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def resnet(kind: str, counts: tuple[int, ...]) -> Iterator[Entry]:
    yield from conv("conv1", 64, 3, 7)
    yield from norm("bn1", 64)
    inputs, wider = 64, 4 if kind == "bottleneck" else 1
    for stage, count in enumerate(counts, 1):
        width = 32 * 2**stage
        for index in range(count):
            name = f"layer{stage}.{index}"
            windows = (
                ((inputs, 1, 1), (width, 3, 1), (width, 1, wider)) if wider > 1 else ((inputs, 3, 1), (width, 3, 1))
            )
            for number, (seen, size, times) in enumerate(windows, 1):
                yield from conv(f"{name}.conv{number}", times * width, seen, size)
                yield from norm(f"{name}.bn{number}", times * width)
            if inputs != wider * width:
                yield from conv(f"{name}.downsample.0", wider * width, inputs, 1)
                yield from norm(f"{name}.downsample.1", wider * width)
            inputs = wider * width
    yield from linear("fc", 1000, inputs)


def vgg(times: tuple[int, ...], *, normalised: bool = False) -> Iterator[Entry]:
    place, inputs = 0, 3
    for width, count in zip((64, 128, 256, 512, 512), times, strict=True):
        for _ in range(count):
            yield from conv(f"features.{place}", width, inputs, 3, bias=True)
            if normalised:
                yield from norm(f"features.{place + 1}", width)
            place, inputs = place + 2 + normalised, width
        place += 1
    for number, outputs, seen in ((0, 4096, 25088), (3, 4096, 4096), (6, 1000, 4096)):
        yield from linear(f"classifier.{number}", outputs, seen)


def alexnet() -> Iterator[Entry]:
    for number, outputs, inputs, size in (
        (0, 64, 3, 11),
        (3, 192, 64, 5),
        (6, 384, 192, 3),
        (8, 256, 384, 3),
        (10, 256, 256, 3),
    ):
        yield from conv(f"features.{number}", outputs, inputs, size, bias=True)
    for number, outputs, inputs in ((1, 4096, 9216), (4, 4096, 4096), (6, 1000, 4096)):
        yield from linear(f"classifier.{number}", outputs, inputs)


def densenet(stem: int, growth: int, counts: tuple[int, ...]) -> Iterator[Entry]:
    yield from conv("features.conv0", stem, 3, 7)
    yield from norm("features.norm0", stem)
    channels = stem
    for number, count in enumerate(counts, 1):
        for index in range(1, count + 1):
            name = f"features.denseblock{number}.denselayer{index}"
            yield from norm(f"{name}.norm1", channels)
            yield from conv(f"{name}.conv1", 4 * growth, channels, 1)
            yield from norm(f"{name}.norm2", 4 * growth)
            yield from conv(f"{name}.conv2", growth, 4 * growth, 3)
            channels += growth
        if number < len(counts):
            yield from norm(f"features.transition{number}.norm", channels)
            yield from conv(f"features.transition{number}.conv", channels // 2, channels, 1)
            channels //= 2
    yield from norm("features.norm5", channels)
    yield from linear("classifier", 1000, channels)


def conv_bn(name: str, outputs: int, inputs: int, size: int) -> Iterator[Entry]:
    yield from conv(f"{name}.conv", outputs, inputs, size)
    yield from norm(f"{name}.bn", outputs)


INCEPTIONS = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


def googlenet(*, auxiliary: bool = False) -> Iterator[Entry]:
    yield from conv_bn("conv1", 64, 3, 7)
    yield from conv_bn("conv2", 64, 64, 1)
    yield from conv_bn("conv3", 192, 64, 3)
    for number, (inputs, ones, three, threes, five, fives, pooled) in INCEPTIONS.items():
        name = f"inception{number}"
        yield from conv_bn(f"{name}.branch1", ones, inputs, 1)
        yield from conv_bn(f"{name}.branch2.0", three, inputs, 1)
        yield from conv_bn(f"{name}.branch2.1", threes, three, 3)
        yield from conv_bn(f"{name}.branch3.0", five, inputs, 1)
        yield from conv_bn(f"{name}.branch3.1", fives, five, 3)
        yield from conv_bn(f"{name}.branch4.1", pooled, inputs, 1)
    for name, inputs in (("aux1", 512), ("aux2", 528)) if auxiliary else ():
        yield from conv_bn(f"{name}.conv", 128, inputs, 1)
        yield from linear(f"{name}.fc1", 1024, 2048)
        yield from linear(f"{name}.fc2", 1000, 1024)
    yield from linear("fc", 1000, 1024)


def mobilenet_v2() -> Iterator[Entry]:
    def part(name: str, outputs: int, inputs: int, size: int) -> Iterator[Entry]:
        yield from conv(f"{name}.0", outputs, inputs, size)
        yield from norm(f"{name}.1", outputs)

    yield from part("features.0", 32, 3, 3)
    number, inputs = 1, 32
    for wider, width, count in ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1)):
        for _ in range(count):
            name, inner, place = f"features.{number}.conv", wider * inputs, 0
            if wider > 1:
                yield from part(f"{name}.0", inner, inputs, 1)
                place = 1
            yield from part(f"{name}.{place}", inner, 1, 3)
            yield from conv(f"{name}.{place + 1}", width, inner, 1)
            yield from norm(f"{name}.{place + 2}", width)
            number, inputs = number + 1, width
    yield from part(f"features.{number}", 1280, inputs, 1)
    yield from linear("classifier.1", 1000, 1280)


def squeezenet() -> Iterator[Entry]:
    yield from conv("features.0", 96, 3, 7, bias=True)
    fires = {3: (96, 16, 64), 4: (128, 16, 64), 5: (128, 32, 128), 7: (256, 32, 128), 8: (256, 48, 192)}
    for number, (inputs, squeeze, expand) in (
        fires | {9: (384, 48, 192), 10: (384, 64, 256), 12: (512, 64, 256)}
    ).items():
        yield from conv(f"features.{number}.squeeze", squeeze, inputs, 1, bias=True)
        yield from conv(f"features.{number}.expand1x1", expand, squeeze, 1, bias=True)
        yield from conv(f"features.{number}.expand3x3", expand, squeeze, 3, bias=True)
    yield from conv("classifier.1", 1000, 512, 1, bias=True)


STATE_DICTS = {
    "alexnet": alexnet(),
    "vgg11": vgg((1, 1, 2, 2, 2)),
    "vgg16_bn": vgg((2, 2, 3, 3, 3), normalised=True),
    "vgg19": vgg((2, 2, 4, 4, 4)),
    "googlenet": googlenet(),
    "googlenet_aux": googlenet(auxiliary=True),
    "resnet18": resnet("basic", (2, 2, 2, 2)),
    "resnet34": resnet("basic", (3, 4, 6, 3)),
    "resnet50": resnet("bottleneck", (3, 4, 6, 3)),
    "resnet152": resnet("bottleneck", (3, 8, 36, 3)),
    "densenet121": densenet(64, 32, (6, 12, 24, 16)),
    "densenet161": densenet(96, 48, (6, 12, 36, 24)),
    "densenet201": densenet(64, 32, (6, 12, 48, 32)),
    "mobilenet_v2": mobilenet_v2(),
    "squeezenet1_0": squeezenet(),
}
STATE_DICTS = {name: dict(entries) for name, entries in STATE_DICTS.items()}

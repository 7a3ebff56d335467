"""One page, README.md, from what the other scripts wrote to results/."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
_NAMES = {
    "ours:auto": "**convrunner** (native convolutions)",
    "ours:portable": "convrunner, `train.lowering=portable`",
    "torch_loop": "PyTorch, tight loop, contiguous",
    "torch_loop:channels_last": "PyTorch, tight loop, channels_last",
    "torch_loop+kept": "PyTorch, tight loop, contiguous, memory kept",
    "torch_loop:channels_last+kept": "PyTorch, tight loop, channels_last, memory kept",
    "lightning_loader": "Lightning with a DataLoader over tensors",
    "keras_jax": "Keras on JAX, `fit`",
    "flax_nnx": "Flax NNX with Optax",
}
_SWEEPS = {
    "fused": "**convrunner**, `runner -m`, with a run in MLflow for every member",
    "separate": "convrunner, 32 processes",
    "hydra_torch": "Hydra's basic launcher over a plain PyTorch loop, no tracking",
    "optuna_torch": "Optuna over the same loop in 2 processes, no tracking",
    "hydra_torch+kept": "Hydra's basic launcher, PyTorch's memory kept",
    "optuna_torch+kept": "Optuna in 2 processes, PyTorch's memory kept",
}
_WHOLE = {
    "ours": "**convrunner** (native convolutions)",
    "ours:portable": "convrunner, `train.lowering=portable`",
    "lightning_template": "Lightning-Hydra template's way",
    "lightning_template+kept": "Lightning-Hydra template's way, PyTorch's memory kept",
}
_PARTS = {
    "python": "Python runs",
    "imports": "everything is imported (Hydra, JAX, Optax, pydantic)",
    "configuration": "the configuration is composed and checked",
    "data": "the images are read",
    "step": "the first training step is done",
    "store": "the MLflow store is open and the run made (in its own thread)",
    "end": "one epoch is trained, tested, figures and model logged",
    "exit": "the process has ended",
}


def read(name: str) -> Any:
    """What a script wrote; None where it never ran."""
    path = HERE / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def table(headings: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown, numbers to the right."""
    lines = ["| " + " | ".join(headings) + " |", "|---|" + "---:|" * (len(headings) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def start() -> str:
    """From the command to its parts."""
    found = read("startup")
    cold, warm = found["cold"], found["warm_median"]
    rows = [[text, f"{cold[key]:.2f}", f"{warm[key]:.2f}"] for key, text in _PARTS.items() if key in warm]
    return (
        "## Start\n\nLeNet-5 on the digits, one epoch, each run a process of its own. Seconds from the command until "
        f"each part is over; `cold` is one run with no compiled programs, `warm` the median of {found['runs']} with "
        "them.\n\n" + table(["until", "cold", "warm"], rows)
    )


def whole() -> str:
    """Whole commands."""
    found = read("whole")
    if found is None:
        return ""
    rows = [
        [_WHOLE[who], f"{found['first'][who]:.1f}", f"{median:.2f}", "{:.2f}–{:.2f}".format(*found["min_max"][who])]
        for who, median in found["median"].items()
    ]
    return (
        f"## The whole command\n\n`whole.py`: {found['what']}, in turn, {found['rounds']} rounds; `first` made the "
        "store and the caches. The template is Hydra, Lightning's Trainer, its MLflow logger and its checkpoint.\n\n"
        + table(["", "first", "median", "from–to"], rows)
    )


def throughput() -> str:
    """Training against its peers."""
    found = read("throughput")
    text = (
        "## Training\n\n`throughput.py`: images a second, medians of blocks of steps taken in turn, each contestant a "
        "process of its own; the ratio is to the better of PyTorch's two layouts as it comes, block by block. Adam, "
        "float32, the same images. Ours also counts the resizing of MNIST's images to 32×32 in every step, which the "
        "others do once. PyTorch runs as it comes, to which ratios are taken, "
        "and with its memory kept by settings of malloc (`benchmarks/machine.py`), as this "
        "project does it. The ceiling is a 2,048² float32 product on all cores, in its turn with the others; the "
        "convolutions and products of training are counted, three passes of two operations a multiply-add. `loss` is "
        "the mean over the last block: all have learnt as much by then.\n"
    )
    for one in found["workloads"]:
        rows = [
            [
                _NAMES.get(name, name),
                f"{own['images_per_second']:,.0f}",
                f"{own['min_max'][0]:,.0f}–{own['min_max'][1]:,.0f}",
                f"{own['ratio']:.2f}",
                f"{own['share_of_ceiling']:.0%}",
                f"{own['loss']:.3f}",
                f"{own['faults_per_step']:,.0f}",
                f"{own['peak_mb']:,.0f}",
            ]
            for name, own in one["contestants"].items()
        ]
        text += f"\n{one['model']}, batch {one['batch']}, {one['steps']} steps a block, {one['blocks']} blocks; "
        text += "{processor}\n\n".format(**one["machine"])
        headings = ["", "images/s", "from–to", "ratio", "of the ceiling", "loss", "page faults a step", "peak MB"]
        text += table(headings, rows)
        text += f"\n{one['gflop_per_image']:.3g} GFLOP an image; "
        text += f"the ceiling beside it {one['ceiling_gflops']:.0f} GFLOP/s.\n"
    return text


def sweeps() -> str:
    """Sweeps against what users would do instead."""
    text = "## Sweeps\n\n`sweep.py`: whole commands, start-up included.\n"
    for name in ("digits", "mnist"):
        if found := read(f"sweep_{name}"):
            rows = [
                [
                    _SWEEPS[way],
                    f"{rate:.1f}",
                    f"{statistics_of(found['seconds'][way])}",
                    f"{found['times_as_fast_as'][way]:.2f}",
                ]
                for way, rate in found["configurations_per_minute"].items()
            ]
            text += f"\n{found['what']}; rounds: {found['rounds']}; of the 32 processes {found['processes_timed']} "
            text += "were timed and the rest reckoned\n\n"
            text += table(["", "configurations a minute", "seconds", "ours is faster by"], rows)
    return text


def statistics_of(values: list[float]) -> str:
    """Seconds from the least to the most."""
    return f"{min(values):.0f}–{max(values):.0f}" if len(values) > 1 else f"{values[0]:.0f}"


def recording() -> str:
    """What tracking costs."""
    found = read("tracking")
    shares = {part: found[part]["ratios"] for part in ("training", "command")}
    ratios = {
        part: f"{found[part]['median_ratio']:.3f} ({min(own):.3f}–{max(own):.3f})" for part, own in shares.items()
    }
    seconds = found["command"]["median"]
    return (
        f"## Tracking\n\n`tracking.py`, LeNet-5 on MNIST, {found['epochs']} epochs, pairs of runs in turn, tracked and "
        f"not: training took {ratios['training']} times as long as without, the whole command {ratios['command']} "
        f"({seconds['local']:.1f} s for {seconds['off']:.1f}). What is left is MLflow's import, three figures and the "
        "model's export, once a run.\n"
    )


def in_browser() -> str:
    """The page of a run in a browser."""
    found = read("page")
    times = ", ".join(
        f"{model} {own['median_ms']:.1f} ms ({own['fastest_ms']:.1f}–{own['slowest_ms']:.1f})"
        for model, own in found["networks"].items()
    )
    return (
        f"## The page of a run\n\n`page_speed.py`, one image through every layer in a headless Chromium "
        f"{found['versions']['chromium']}, 32×32 pixels, median of {found['passes']} warm passes: {times}. "
        f"{found['processes_waiting']:.0f} processes shared the {found['machine']['cores']} cores.\n"
    )


def drawing() -> str:
    """What the figures of a run cost, if it was measured."""
    found = read("figures")
    if found is None:
        return ""
    rows = []
    for name in ("lenet5 on digits", "lenet5 on MNIST"):
        wall, processor = found[name]["wall"], found[name]["processor"]
        for label, seconds in wall["more"].items():
            spent = (f"{wall['medians']['off']:.2f}", f"{seconds:+.2f}", f"{processor['more'][label]:+.2f}")
            rows.append([f"{name}, `figures={label}`", *spent, f"{wall['of_a_minute'][label]:.1%}"])
    headings = ["run", "s without", "s more", "processor s more", "of a minute"]
    return (
        f"## Figures\n\n`figures.py`, whole commands in turn, medians of {found['pairs']} pairs: what the figures of a "
        "run add, which does not grow with its epochs.\n\n" + table(headings, rows)
    )


def predicting() -> str:
    """How fast files are classified, if it was measured."""
    found = read("predict")
    if found is None:
        return ""
    rates = found["images_per_second"]
    names = {"predict": "**`runner predict`**, from files", "evaluation": "evaluation in training, from memory"}
    of_torch = {
        name: f"PyTorch, DataLoader, {name.removeprefix('torch:').replace('1 workers', '1 worker')}, from files"
        for name in rates["jpeg"]
    }
    rows = [
        [(names | of_torch | names)[name], *(f"{rates[form][name]:,.0f}" for form in rates)] for name in rates["jpeg"]
    ]
    transforms = "torchvision's transforms" if found["torchvision"] else "torchvision's transforms written out"
    return (
        f"## Predicting\n\n`predict.py`, {found['files']:,} photographs of CIFAR-10, `vgg6_cifar`, images a second, "
        f"medians of {found['rounds']} rounds in turn; PyTorch with {transforms}.\n\n"
        + table(["", *(form.upper() for form in rates)], rows)
    )


def streaming() -> str:
    """Images past memory, and how fast files are decoded, as far as they were measured."""
    parts = []
    if found := read("streaming"):
        peaks = found["cnn_3x"]
        parts.append(
            f"`streaming.py`, {found['images']:,} JPEGs of 400×350 at 224×224, `data.residence=stream`. `cnn_3x`: "
            f"first step after {peaks['first_step']:.1f} s, from the command; peak of "
            f"{peaks['peak_anonymous_mb']:,.0f} MB anonymous and {peaks['peak_file_backed_mb']:,.0f} MB file-backed "
            f"memory; {peaks['images_per_second']:,.0f} images a second. A network that uses 8×8 pixels trains on "
            f"{found['almost_free_network']:,.0f} images a second, where decoding alone reaches "
            f"{found['decoding_alone']:,.0f}: {found['ratio']:.2f}, medians of {found['runs']} turns."
        )
    if found := read("decoding"):
        names = {
            "ours": "**ours**",
            "torchvision": "PyTorch's DataLoader, torchvision, a worker process for each core",
            "torchvision_in_process": "PyTorch's DataLoader, torchvision, no worker processes",
            "grain": "grain, with Pillow",
        }
        rows = [[names[who], *(f"{rate:,.0f}" for rate in rates)] for who, rates in found["medians"].items()]
        parts.append(
            f"`decoding.py`, random windows of {found['images']:,} JPEGs of 400×350, resized to 224×224, medians of "
            f"{found['runs']} turns:\n\n" + table(["", "images/s", "images/s of processor time"], rows)
        )
    return "## Streaming\n\n" + "\n\n".join(part.rstrip() for part in parts) + "\n" if parts else ""


def hosts() -> str:
    """One process beside two, as far as they were measured."""
    if not (found := read("hosts")):
        return ""
    rows = [
        [network, *(f"{own[name]:,.0f} ({own[name] / own['one process, one core']:.2f})" for name in own)]
        for network, own in found["medians"].items()
    ]
    names = list(next(iter(found["medians"].values())))
    return (
        "## Several processes\n\n"
        f"`hosts.py`, images a second in training on the digits over loopback, batch "
        f"{max(found['batch_sizes'].values())}; medians of {found['turns']} turns, and beside them their ratio to one "
        "process on one core:\n\n" + table(["", *names], rows)
    )


def thousand() -> str:
    """A large sweep, if it was measured."""
    found = read("thousand")
    if found is None:
        return ""
    return (
        f"## A thousand members\n\n`thousand.py`, on the digits: {found['members']:,} members in "
        f"{found['seconds']:.0f} s and {found['peak_gb']:.2f} GB at most, {found['compiled']} program compiled; "
        f"{found.get('finished', 0)} finished, {found.get('pruned', 0)} were pruned. Once.\n\n"
        f"`runner {' '.join(found['command'][2:])}`\n"
    )


def duplicates() -> str:
    """What the perceptual hash of `describe data` finds, if it was measured."""
    found = read("duplicates")
    if found is None:
        return ""
    distance = str(found["distance"])
    rows = [[name, f"{shares[distance]:.1%}"] for name, shares in found["recall_by_distance"].items()]
    seconds = found["seconds"]
    return (
        f"## Images that look alike\n\n`duplicates.py`: of {found['changed']:,} photographs, changed as told, the "
        f"share that `describe data` pairs with its original: hashes of 64 bits that differ in at most {distance}, "
        f"thumbnails that correlate by {found['correlation']} or more. {found['images']:,} images: "
        f"{seconds['hashing']:.1f} s for hashing, {seconds['finding pairs']:.1f} s for finding pairs, medians of "
        f"three; {found['pairs']:,} pairs look alike, {found['false_pairs_of_jumbled_images']:,} of as many images "
        f"made of quarters of others.\n\n{table(['change', 'found'], rows)}"
    )


def main() -> None:
    """Writes the page."""
    measured = [json.loads(path.read_text()) for path in sorted((HERE / "results").glob("*.json"))]
    machines = sorted({_machine(**found["machine"]) for found in measured})
    versions = {name: version for found in measured for name, version in found["versions"].items()}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    head = f"""# Benchmarks

What measures speed; tests never do. Each script says in its first lines what it measures and how, and writes
`results/NAME.json`; `page.py` makes this page of them, and `readme.py` the numbers of the README (`make readme`).
`make bench MNIST=FOLDER CIFAR=FOLDER` runs them all, in about an hour; the peers need the extra `bench`. `accuracy.py`,
which needs no quiet machine, is `make accuracy`. Machines differ and drift: read ratios and medians.

Measured on virtual machines ({"; ".join(machines)}), with {named}.

"""
    parts = [
        throughput(),
        sweeps(),
        start(),
        whole(),
        recording(),
        in_browser(),
        drawing(),
        predicting(),
        streaming(),
        hosts(),
        thousand(),
        duplicates(),
        notes(),
    ]
    (HERE / "README.md").write_text(head + "\n".join(filter(None, parts)))


def _machine(processor: str, cores: int, **others: Any) -> str:
    return f"{processor}, {cores} core{'s' if cores > 1 else ''}"


def notes() -> str:
    """What no script writes."""
    return (HERE / "notes.md").read_text()


if __name__ == "__main__":
    main()

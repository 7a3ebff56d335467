"""What .tar shards of WebDataset hold: which images, where they are in the file, and what is their label.

>>> [listing] = listings(Path("."), ["a.tar"], Wanted(None, "cls", ()))
>>> listing.images, listing.values
(['1.png'], {'cls': ['7']})

Entries with one name before the first dot are one example (1.jpg, 1.cls), wherever they stand in the shard. The listing
of a shard is kept on disk until the shard changes.
"""

import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from runner import limits
from runner.data import sealed
from runner.data.broken import grouped
from runner.data.class_names import nfc
from runner.data.digests import regular_file, settled, stat_key, too_large
from runner.data.download import cache_folder
from runner.data.files import CONTENTS, visible
from runner.data.pixels import SUFFIXES
from runner.data.tables import as_text
from runner.data.tar_entries import Entry, entries
from runner.data.threads import in_threads
from runner.errors import DataError, Fault, must

JSON: Final = "json"
_VERSION: Final = 1  # of the listings on disk; increase it when their form or what they leave out changes
_THREADS: Final = 16


class Wanted(NamedTuple):
    """The endings of the entries that are read, without the first dot, and the keys that are read of `.json` entries.

    None as `image`: those of image files. None as `label`: no entry is a label.
    """

    image: str | None
    label: str | None
    columns: tuple[str, ...]

    def is_image(self, ending: str) -> bool:
        """Whether entries with this ending are the images."""
        return ending == self.image if self.image else f".{ending}" in SUFFIXES


class Listing(NamedTuple):
    """The images of a shard: their names, offsets and sizes in bytes, and of each the texts of its label and keys.

    `other` are entries without an image of their name. `key` tells whether the shard has changed since; `is_settled`,
    whether it may have changed without a new key.
    """

    shard: str
    key: bytes
    is_settled: bool
    images: list[str]
    offsets: list[int]
    sizes: list[int]
    values: dict[str, list[str]]
    other: list[str]

    @property
    def paths(self) -> list[str]:
        """The paths of the images."""
        return [f"{self.shard}/{name}" for name in self.images]


def listings(root: Path, shards: Sequence[str], wanted: Wanted) -> list[Listing]:
    """The listing of each shard, from the cache if the shard is unchanged. Raises DataError with the faults of all."""
    found: list[Any] = [None] * len(shards)
    faults: list[list[Fault]] = [[] for _ in shards]

    def look(index: int) -> None:
        found[index] = _listing(root, shards[index], wanted, faults[index])

    in_threads(len(shards), look, threads=_THREADS)
    if any(faults):
        raise DataError(*grouped(root, (fault for those in faults for fault in those)))
    return found


def first_example(path: Path, wanted: Wanted, usual: Sequence[str]) -> tuple[set[str], dict[str, Any]]:
    """The endings of the first example with an image and one of the `usual` endings, and what its .json has.

    Empty if the shard has none. Raises DataError if it is broken.
    """
    examples: dict[str, dict[str, Entry]] = {}
    before = ""
    with opened(path) as (descriptor, _):
        for entry in itertools.chain(entries(descriptor, str(path)), (None,)):
            name = _divided(entry.name) if entry is not None else ("", "", "")
            if name is None:
                continue
            own = examples.get(before, {})
            if before and name[1] != before and any(map(wanted.is_image, own)) and not own.keys().isdisjoint(usual):
                noted = own.get(JSON)
                return set(own), _object(descriptor, noted, str(path)) if noted is not None else {}
            if entry is not None:
                _, before, ending = name
                examples.setdefault(before, {})[ending] = entry
    return set().union(*examples.values()), {}


def _listing(root: Path, shard: str, wanted: Wanted, faults: list[Fault]) -> Listing:
    """The listing of one shard; faults of its examples are added to `faults`."""
    started = time.time_ns()
    with opened(root / shard) as (descriptor, key):
        kept = kept_for((_VERSION, key, wanted))
        is_settled = settled(os.fstat(descriptor), started)
        content = sealed.read(kept) if is_settled else None
        if content is not None:
            return Listing(shard, key, is_settled, *json.loads(content.tobytes()))
        found = _scanned(descriptor, f"{root}/{shard}", wanted, faults)
    if is_settled and not faults:
        with suppress(OSError):  # without a cache the shard is listed again
            sealed.write(kept, json.dumps(found).encode())
    return Listing(shard, key, is_settled, *found)


class _Example:
    """What a shard has of one example."""

    def __init__(self) -> None:
        self.image: tuple[str, Entry] | None = None
        self.values: dict[str, str] = {}
        self.first = ""


def _scanned(descriptor: int, place: str, wanted: Wanted, faults: list[Fault]) -> tuple[Any, ...]:
    """The fields of a listing from `images` to `other`."""
    examples: dict[str, _Example] = {}
    seen: set[str] = set()
    for entry in entries(descriptor, place):
        divided = _divided(entry.name)
        if divided is None:
            continue
        name, key, ending = divided
        example = examples.setdefault(key, _Example())
        example.first = example.first or name
        is_image, is_label = wanted.is_image(ending), ending == wanted.label
        if not is_image and not is_label and not (wanted.columns and ending == JSON):
            continue
        if name in seen:
            faults.append(must(f"{place}/{name}", "be in the shard once", "two entries of this name"))
            continue
        seen.add(name)
        if entry.fault:
            faults.append(must(f"{place}/{name}", "be a file of its own", entry.fault))
        elif is_image and example.image:
            rule = "be the only image of its example, or be chosen by data.image_ending"
            faults.append(must(f"{place}/{name}", rule, f"{example.image[0]} beside it"))
        elif is_image:
            example.image = name, entry
        else:
            try:
                example.values |= _values(descriptor, entry, f"{place}/{name}", wanted, is_label=is_label)
            except DataError as error:
                faults += error.faults
                example.values |= dict.fromkeys(_needed(wanted), "-")  # one fault is enough
    return _fields(examples, place, wanted, faults)


def _fields(examples: dict[str, _Example], place: str, wanted: Wanted, faults: list[Fault]) -> tuple[Any, ...]:
    needed = _needed(wanted)
    whole, other = [], []
    for example in examples.values():
        if example.image is None and example.values:
            faults.append(must(f"{place}/{example.first}", "stand beside an image of its name", "none"))
        elif example.image is None:
            other.append(example.first)
        elif lacks := [name for name in needed if not example.values.get(name, "").strip()]:
            rule = f"have a .{lacks[0]} beside it" if lacks[0] == wanted.label else f"have a {lacks[0]} in its .{JSON}"
            faults.append(must(f"{place}/{example.image[0]}", rule, "none"))
        else:
            whole.append((example.image, example.values))
    return (
        [image[0] for image, _ in whole],
        [image[1].offset for image, _ in whole],
        [image[1].size for image, _ in whole],
        {name: [values[name] for _, values in whole] for name in needed},
        other,
    )


def _needed(wanted: Wanted) -> list[str]:
    return [*([wanted.label] if wanted.label else []), *wanted.columns]


def _values(descriptor: int, entry: Entry, place: str, wanted: Wanted, *, is_label: bool) -> dict[str, str]:
    """What a label or a .json entry says. Raises DataError."""
    if is_label and wanted.label:
        return {wanted.label: nfc(_text(descriptor, entry, place).strip())}
    found = _object(descriptor, entry, place)
    return {name: as_text(found.get(name)).strip() for name in wanted.columns}


def _object(descriptor: int, entry: Entry, place: str) -> dict[str, Any]:
    try:
        found = json.loads(_text(descriptor, entry, place))
    except (ValueError, RecursionError) as error:
        raise DataError(must(place, "be a JSON object", f"a broken one ({error})")) from error
    if not isinstance(found, dict):
        raise DataError(must(place, "be a JSON object", found))
    return {nfc(key): value for key, value in found.items()}


def _text(descriptor: int, entry: Entry, place: str) -> str:
    if entry.size > limits.LABEL_BYTES:
        raise too_large(place, entry.size, limits.LABEL_BYTES)
    try:
        return os.pread(descriptor, entry.size, entry.offset).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(must(place, "be UTF-8", f"the byte {error.object[error.start]:02x}")) from error


def _divided(name: str) -> tuple[str, str, str] | None:
    """The path of an entry, what all entries of its example share, and its ending; None for what is no part of one."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if not parts or not all(map(visible, parts)):
        return None
    stem, dot, ending = parts[-1].partition(".")
    if not dot or (stem.startswith("__") and stem.endswith("__")):  # a note of WebDataset on the whole shard
        return None
    return "/".join(parts), "/".join([*parts[:-1], stem]), ending.lower()


def kept_for(told: object) -> Path:
    """The file in the cache for what is known of a shard, of which `told` tells all that it depends on."""
    name = hashlib.sha256(repr(told).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return cache_folder() / CONTENTS / f"shard-{name}.sealed"


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, bytes]]:
    """The descriptor of a file, and what tells that it is unchanged. Raises DataError if it is no file."""
    regular_file(path)  # opening a pipe would wait
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor, stat_key(os.fstat(descriptor))
    finally:
        os.close(descriptor)

"""Applies edits to the layers of a model, and finds every fault in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from runner import limits
from runner.edits.places import PARTS, Path, flat, is_place, label, labelled, node_at, place, place_text
from runner.errors import ConfigError, Fault, must, unknown

KEY: Final = "edit"
ACTIONS: Final = {"after": "insert", "before": "insert", "replace": "with", "change": "with", "delete": ""}
_EVERY: Final = "every "
_FORM: Final = (
    "be {after: LAYER, insert: LAYERS}, {before: LAYER, insert: LAYERS}, {replace: LAYER, with: LAYERS}, "
    "{change: LAYER, with: ARGUMENTS} or {delete: LAYER}"
)


def edited(model: dict[str, Any], edits: Any, base: str) -> dict[str, Any]:
    """The layers and blocks of a model, plain lists and mappings, with edits applied. `base` names it in messages.

    Raises ConfigError with every fault.
    """
    parts = {name: model[name] for name in PARTS if isinstance(model.get(name), list | dict)}
    if "layers" in parts:
        parts["layers"] = flat(parts["layers"])
    if not isinstance(edits, list):
        raise ConfigError(must(f"model.{KEY}", "be a list of edits", edits))
    if not isinstance(parts.get("layers"), list):
        rule = "have a base with layers, which defaults names before _self_"
        raise ConfigError(must(f"model.{KEY}", rule, parts.get("layers", "no layers")))
    work = _Work(parts, base)
    for number, edit in enumerate(edits):
        work.take(number, edit)
    work.check_overlaps()
    if work.faults:
        raise ConfigError(*work.faults)
    return {name: work.rebuilt(part, (name,)) for name, part in parts.items()}


def variant(inherited: dict[str, Any], own: dict[str, Any], base: str) -> dict[str, Any]:
    """A file of a model with what it inherits: mappings are merged, other values replaced, and its edits applied.

    Raises ConfigError as `edited`.
    """
    whole = _merged(inherited, own)
    wanted = whole.pop(KEY, None)
    return {**whole, **edited(inherited, wanted, base)} if wanted else whole


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    def both(key: str, value: Any) -> Any:
        before = one.get(key)
        return _merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value

    return one | {key: both(key, value) for key, value in other.items()}


def explained(error: ConfigError, edited_by: str) -> ConfigError:
    """The error, with the base and the editors of the layers at each fault in them; `edited_by` may be empty."""
    if not edited_by:
        return error
    return ConfigError(
        *(
            Fault(fault.path, f"{fault.text} ({edited_by})")
            if fault.path.startswith(("model.layers", "model.blocks"))
            else fault
            for fault in error.faults
        )
    )


@contextmanager
def explaining(edited_by: str) -> Iterator[None]:
    """Raises ConfigErrors of the block as `explained`."""
    try:
        yield
    except ConfigError as error:
        raise explained(error, edited_by) from error.__cause__


@dataclass(frozen=True)
class _Change:
    """One edit at one layer: its number, its action, and its layers or arguments."""

    number: int
    action: str
    path: Path
    given: Any

    @property
    def name(self) -> str:
        return f"model.{KEY}[{self.number}].{self.action}"


@dataclass
class _Work:
    """The edits of one model."""

    parts: dict[str, Any]
    base: str
    faults: list[Fault] = field(default_factory=list)
    changes: list[_Change] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._labels: dict[str, list[Path]] = {}
        for path, kind in labelled(self.parts["layers"], ("layers",)):
            self._labels.setdefault(kind, []).append(path)
        self._at: dict[tuple[str, Path], list[_Change]] = {}
        self._inserted = 0

    def take(self, number: int, edit: Any) -> None:
        """Adds one edit, or its fault."""
        action = next((key for key in edit if key in ACTIONS), None) if isinstance(edit, dict) else None
        wanted = {action, ACTIONS[action]} - {""} if action else set[str]()
        if action is None or set(edit) != wanted or not isinstance(edit[action], str):
            self.faults.append(must(f"model.{KEY}[{number}]", _FORM, edit))
            return
        given = edit.get(ACTIONS[action], [])
        if action == "change" and not isinstance(given, dict):
            self.faults.append(must(f"model.{KEY}[{number}].with", "be a mapping of arguments", given))
            return
        if action != "change":
            given = flat(given if isinstance(given, list) else [given])
        for path in self._targets(edit[action], f"model.{KEY}[{number}].{action}"):
            change = _Change(number, action, path, given)
            self.changes.append(change)
            self._at.setdefault((action, path), []).append(change)
            self._inserted += len(given)
            if self._inserted > limits.LAYERS:
                rule = f"insert at most {limits.LAYERS:,} layers with all before it"
                raise ConfigError(*self.faults, must(f"model.{KEY}[{number}]", rule, "more"))

    def _targets(self, name: str, where: str) -> list[Path]:
        """The paths of the layers of a name; none, and a fault, if it is wrong."""
        every, kind = name.startswith(_EVERY), name.removeprefix(_EVERY).strip()
        if not every and is_place(name):
            path = place(self.parts, name)
            if path is None:
                last = len(self.parts["layers"]) - 1
                rule = f"name a layer that {self.base} writes (layers[0] to layers[{last}], and those in them)"
                self.faults.append(must(where, rule, name))
            return [] if path is None else [path]
        paths = self._labels.get(kind, [])
        if not paths:
            text = unknown("", "layer", kind, self._labels).text
            self.faults.append(Fault(where, f"{text} ({self.base})"))
        elif len(paths) > 1 and not every:
            got = f"{kind} at " + ", ".join(map(place_text, paths[:8])) + (" …" if len(paths) > 8 else "")
            rule = f'must name one layer of {self.base} (or "every {kind}")'
            self.faults.append(Fault(where, f"{rule}, got {got}"))
            return []
        return paths

    def check_overlaps(self) -> None:
        """Adds the faults of edits that another edit makes meaningless."""
        removed: dict[Path, _Change] = {}
        arguments: dict[Path, _Change] = {}
        for change in self.changes:
            if change.action in ("replace", "delete"):
                self._claim(removed, change.path, change)
            elif change.action == "change":
                kind = label(node_at(self.parts, change.path)) or ""
                for name in change.given:
                    self._claim(arguments, (*change.path, kind, name), change)
        for change in self.changes:
            inner = range(1, len(change.path) + (change.action == "change"))
            for length in inner:
                path = change.path[:length]
                other = removed.get(path) or arguments.get(path)
                if other and other.number != change.number:
                    self._overlap(change, other, path)

    def _claim(self, claimed: dict[Path, _Change], path: Path, change: _Change) -> None:
        other = claimed.setdefault(path, change)
        if other is not change:
            self._overlap(change, other, path)

    def _overlap(self, one: _Change, other: _Change, path: Path) -> None:
        first, second = sorted((one, other), key=lambda change: change.number)
        rule = f"must not edit what {first.name} replaces, deletes or changes"
        self.faults.append(Fault(second.name, f"{rule}, got {place_text(path)} of {self.base}"))

    def rebuilt(self, node: Any, path: Path) -> Any:
        """The tree at a path, with all edits in it applied."""
        if isinstance(node, dict):
            return {key: self.rebuilt(item, (*path, key)) for key, item in node.items()}
        if not isinstance(node, list):
            return node
        found: list[Any] = []
        for index, item in enumerate(node):
            here = (*path, index)
            found += self._given("before", here)
            if ("delete", here) in self._at or ("replace", here) in self._at:
                found += self._given("replace", here)
            else:
                found.append(self._changed(self.rebuilt(item, here), here))
            found += self._given("after", here)
        return found

    def _given(self, action: str, path: Path) -> list[Any]:
        return [layer for change in self._at.get((action, path), ()) for layer in change.given]

    def _changed(self, entry: Any, path: Path) -> Any:
        """A layer with its changed arguments."""
        for change in self._at.get(("change", path), ()):
            kind = label(entry)
            own = entry[kind] if isinstance(entry, dict) else None
            entry = {kind: {**(own if isinstance(own, dict) else {}), **change.given}}
        return entry

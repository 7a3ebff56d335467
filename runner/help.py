"""The help of a verb: what it does, its settings and examples, wrapped at the width of the terminal.

>>> from pydantic import Field
>>> class Weigh(Record):
...     unit: str = Field("kB", description="The unit of the size.")
>>> print(Help("runner weigh", ("The size.",), tuple(settings(Weigh)), examples=("runner weigh unit=MB",)).text(80))
runner weigh
<BLANKLINE>
The size.
<BLANKLINE>
  unit  The unit of the size. (default: kB)
<BLANKLINE>
Example: runner weigh unit=MB
"""

import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runner.errors import shown
from runner.records import Record

_NARROWEST: Final = 40
_WIDEST: Final = 120  # longer lines are hard to read
_LONGEST_DEFAULT: Final = 250  # characters
_SHORT: Final = 30  # characters
_TIED: Final = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Help:
    """The help of one verb: `rows` are what it takes, each with its description; `examples` are whole commands."""

    usage: str
    paragraphs: tuple[str, ...]
    rows: tuple[tuple[str, str], ...] = ()
    note: str = ""
    examples: tuple[str, ...] = ()

    def text(self, width: int | None = None) -> str:
        """The help in lines of at most `width` characters; by default the width of the terminal, 80 in a pipe.

        Examples are not wrapped, so that they can be copied.
        """
        width = min(max(width or shutil.get_terminal_size((80, 24)).columns, _NARROWEST), _WIDEST)
        indent = max((len(name) for name, _ in self.rows), default=0) + 4
        rows = [
            textwrap.fill(_whole(text), width, initial_indent=f"  {name}".ljust(indent), subsequent_indent=" " * indent)
            for name, text in self.rows
        ]
        last = [
            *([textwrap.fill(self.note, width)] if self.note else []),
            *(f"{'' if number else 'Example:':8} {line}" for number, line in enumerate(self.examples)),
        ]
        parts = [
            textwrap.fill(self.usage, width),
            *(textwrap.fill(text, width) for text in self.paragraphs),
            "\n".join(rows),
            "\n".join(last),
        ]
        return "\n\n".join(part for part in parts if part).replace(_TIED, " ")


def _whole(text: str) -> str:
    """A text in which a short remark in brackets at the end stays on one line."""
    before, bracket, remark = text.rpartition(" (")
    return before + bracket + remark.replace(" ", _TIED) if len(remark) <= _SHORT else text


def summary(docstring: str | None) -> str:
    """What a verb does, by the first line of its module's docstring: `runner stop run=ID`: ends a run."""
    return (docstring or "").partition("\n")[0].partition(": ")[2].rstrip(".")


def paragraphs(does: str, record: type[Record] | None = None) -> tuple[str, ...]:
    """The summary of a verb as a sentence, and what the docstring of its settings says after the first paragraph."""
    _, *others = (record.__doc__ or "").split("\n\n") if record else ("",)
    return (f"{does[:1].upper()}{does[1:]}.", *(" ".join(text.split()) for text in others))


def settings(kind: type[Record], above: str = "") -> Iterator[tuple[str, str]]:
    """The path of each setting below `above`, with its description and its default."""
    for name, field in kind.model_fields.items():
        if isinstance(field.default, Record):
            yield from settings(type(field.default), f"{above}{name}.")
        elif field.is_required():
            yield f"{above}{name}", f"{field.description} (must be given)"
        else:
            default = field.get_default()
            told = "" if default is None else f" (default: {shown(default, _LONGEST_DEFAULT)})"
            yield f"{above}{name}", f"{field.description}{told}"

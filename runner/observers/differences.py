"""Says, before a run is trained again, what is another one here than where it was trained."""

from datetime import datetime

from rich.console import Console
from rich.table import Table

from runner import repeating
from runner.repeating import Record
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.plan import Plan

_NO_DIFFERENCE = (
    "nothing differs here: versions, processor, device, threads, flags, lowerings, code and data are the same"
)


class Differences(Observer):
    """Prints the differences before the first step. Comes after the observer that records the circumstances here."""

    def __init__(self, there: Record) -> None:
        self._there = there

    def begins(self, member: Member, plan: Plan) -> None:
        console = Console(highlight=False, markup=False)
        began = datetime.fromtimestamp(self._there.began).strftime("%Y-%m-%d %H:%M")
        console.print(f"{self._there.name}, trained on {began}")
        here = repeating.read(member.context.folder)
        found = self._there.circumstances.differences(here.circumstances)
        if not found:
            console.print(_NO_DIFFERENCE)
            return
        table = Table(box=None, pad_edge=False, show_header=True)
        for heading in ("differs", "there", "here"):
            table.add_column(heading, overflow="fold")
        for one in found:
            table.add_row(one.name, one.there or "none", one.here or "none")
        console.print(table)

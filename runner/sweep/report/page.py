"""The report of a sweep as one page that needs nothing else."""

from html import escape

from runner.sweep.report.terminal import measured, said
from runner.sweep.results import SweepResult, objective


def html(result: SweepResult) -> str:
    """The report as HTML."""
    paths = list(dict.fromkeys(path for member in result.members for path in member.varied))
    names = [name for name, _ in result.objectives]
    head = "".join(f"<th>{escape(name)}</th>" for name in ("#", "status", *paths, *names))
    rows = "".join(
        "<tr>"
        + f"<td>{member.number}</td><td>{member.status.lower()}</td>"
        + "".join(f"<td>{escape(said(member.varied.get(path)))}</td>" for path in paths)
        + "".join(f"<td>{measured(name, objective(member, name))}</td>" for name in names)
        + "</tr>"
        for member in result.members
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(result.name)}</title>"
        f"<h1>{escape(result.name)}</h1><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></html>"
    )

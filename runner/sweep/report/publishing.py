"""Writes and logs the results of a sweep: the members' table, the best configuration, and the report."""

from collections import Counter
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from runner import atomic, endings, folders, tracking
from runner.launchable import launchable
from runner.sweep import report
from runner.sweep.results import SweepResult, objective, ranked
from runner.trained import CONFIG, Trained
from runner.training.member import Member
from runner.training.outcome import Outcome

BEST: Final = "best.yaml"
_BEST_RUN: Final = "best.run_id"


def publish(
    result: SweepResult,
    parent: tracking.Run,
    folder: Path,
    best: Member | None,
    best_run: tracking.Run | None,
    *,
    network: Trained | None = None,
    figures: bool = True,
) -> None:
    """Writes the results to the sweep's folder, and logs them, with or without figures.

    `best` is the best member of those that this process trained, `best_run` its run, `network` what it learnt.
    """
    leaders = ranked(result.members, result.objectives)
    # If the best member is of an earlier session, its file is already here.
    if best is not None and leaders and leaders[0].number == best.number:
        with endings.warn_on_file_errors(BEST):
            (folder / BEST).write_text(_best_config(best, leaders[0], result), encoding="utf-8")
    if (folder / BEST).is_file():
        parent.log_artifact(folder / BEST)
    charts = report.sections(result)
    filters = _filters(leaders, best, network) if figures else None
    page = report.html(result, charts, filters)
    for name, text in (("members.csv", report.table_csv(result)), ("report.html", page)):
        with endings.warn_on_file_errors(name):
            (folder / name).write_text(text, encoding="utf-8")
            parent.log_artifact(folder / name, "report" if name.endswith("html") else "")
    for name, draw in report.figures(charts).items() if figures else ():
        parent.log_figure(f"figures/{name}.png", draw)
    parent.log_summary(_metrics(result, leaders))
    if leaders:
        parent.set_tags({"best": leaders[0].name})
        if leaders[0].run_id:
            parent.set_tags({_BEST_RUN: leaders[0].run_id})
        elif best is not None and best_run is not None and best.number == leaders[0].number:
            parent.tag_run(_BEST_RUN, best_run)


def publish_others(result: SweepResult, folder: Path) -> None:
    """Writes the results of members that another launcher ran, each as a run of its own, to the sweep's folder."""
    leaders = ranked(result.members, result.objectives)
    if leaders and (config := Path(leaders[0].folder) / CONFIG).is_file():
        with endings.warn_on_file_errors(BEST):
            (folder / BEST).write_text(config.read_text(encoding="utf-8"), encoding="utf-8")
    page = report.html(result, report.sections(result), None)
    for name, text in (("members.csv", report.table_csv(result)), ("report.html", page)):
        with endings.warn_on_file_errors(name):
            atomic.write(folder / name, text.encode())


def refresh(
    result: SweepResult, parent: tracking.Run | None, folder: Path, best: Member | None, network: Trained | None
) -> None:
    """Writes the page of a sweep that is not over yet, with the filters of the best member, and logs it to its run."""
    filters = _filters(ranked(result.members, result.objectives), best, network)
    with endings.warn_on_file_errors("report.html"):
        atomic.write(folder / "report.html", report.html(result, report.sections(result), filters).encode())
        if parent is not None:
            parent.log_artifact(folder / "report.html", "report")


def _filters(leaders: list[Outcome], best: Member | None, network: Trained | None) -> bytes | None:
    """The first filters of the best member, if this process trained it."""
    if network is None or best is None or not leaders or leaders[0].number != best.number:
        return None
    return report.first_filters(network)


def present(result: SweepResult, folder: Path) -> None:
    """Prints the summary of a sweep, and where its report is."""
    console = Console(highlight=False)
    console.print(report.terminal(result, console.width))
    if again := report.best_command(result):
        console.print(Text(f"  the best again: {again}"), soft_wrap=True)  # whole, so that it can be copied
    console.print(f"  report: {folders.short(folder / 'report.html')}", soft_wrap=True)


def announce_reuse(sweep: str, count: int, folder: Path, *, is_joint: bool = False) -> None:
    """Prints that a sweep goes on, and how to begin another one."""
    members = "1 member was" if count == 1 else f"{count} members were"
    line = f"sweep {sweep} goes on: {members} trained before, in {folders.short(folder)}; "
    how = "another sweep.name" if is_joint else "sweep.resume=never or another sweep.name"
    Console(highlight=False).print(Text(f"{line}{how} begins a new sweep"), soft_wrap=True)


def announce_joining(sweep: str, count: int, folder: Path) -> None:
    """Prints that this worker joins others."""
    others = "1 other worker" if count == 1 else f"{count} other workers"
    line = f"sweep {sweep}: joins {others}; members are in {folders.short(folder)}"
    Console(highlight=False).print(Text(line), soft_wrap=True)


def announce_others(count: int) -> None:
    """Prints that a worker ends before the others."""
    others = "1 other worker goes" if count == 1 else f"{count} other workers go"
    Console(highlight=False).print(
        Text(f"  {others} on with the sweep; the last one writes the report"), soft_wrap=True
    )


def _metrics(result: SweepResult, leaders: list[Outcome]) -> dict[str, float]:
    counts = Counter(member.status for member in result.members)
    found = {f"members/{status.lower()}": float(count) for status, count in counts.items()}
    found |= {
        "members": float(len(result.members)),
        "compiles": float(result.compiles),
        "structures": float(result.groups),
        "seconds/sweep": result.seconds,
        "seconds/saved": result.seconds_saved,
    }
    if leaders:
        # The parent has the best member's results, because MLflow's list may hide the members under it. It has nothing
        # that members have for each epoch: that would be a dot among their curves.
        found |= {name: value for name, value in leaders[0].metrics.items() if name.startswith(("best/", "test/"))}
        found |= {
            "parameters": float(leaders[0].parameters),
            "multiply_adds": float(leaders[0].multiply_adds),
        }
    return found


def _best_config(best: Member, leader: Outcome, result: SweepResult) -> str:
    """The best member's whole configuration as a launchable file."""
    metric = result.objectives[0][0]
    value, count = objective(leader, metric), len(result.members)
    about = f"trains {leader.name} again: {metric} {value:.6g}, the best of {count} ({result.name})"
    return launchable(best.context.config, "best", " ".join(about.split()), best.context.from_environment)

"""MLflow's server with short addresses, which do not wrap in a terminal: /runs/1 opens the view of experiment 1.

`announced` makes MLflow find `create` as one of its apps (`mlflow server --app-name`), without an installation.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from runner.tracking.view import view_link

APP: Final = "runner"
PAGES: Final = ("runs", "curves")
# Of MLflow 3.17: its assistant opens by itself on a first visit, and covers a quarter of the page.
_ASSISTANT: Final = "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"


def create() -> Any:
    """MLflow's app, with the short addresses."""
    from mlflow.server.fastapi_app import app
    from starlette.requests import Request
    from starlette.responses import HTMLResponse
    from starlette.routing import Route

    def leads(page: str) -> Route:
        def answer(request: Request) -> HTMLResponse:
            target = view_link("", str(request.path_params["experiment"]), curves=page == "curves")
            steps = f"localStorage.setItem({json.dumps(_ASSISTANT)}, 'true'); location.replace({json.dumps(target)})"
            return HTMLResponse(f'<!doctype html><meta charset="utf-8"><title>MLflow</title><script>{steps}</script>')

        return Route(f"/{page}/{{experiment:int}}", answer)

    # Before MLflow's own, the last of which takes all addresses.
    app.router.routes[:0] = [leads(page) for page in PAGES]
    return app


@contextmanager
def announced() -> Iterator[str]:
    """A value of PYTHONPATH with which MLflow finds the app, by the metadata of an empty distribution."""
    with TemporaryDirectory() as folder:
        about = Path(folder) / f"{APP}_site-1.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {APP}-site\nVersion: 1\n", encoding="utf-8")
        (about / "entry_points.txt").write_text(f"[mlflow.app]\n{APP} = {__name__}:create\n", encoding="utf-8")
        here = Path(__file__).resolve().parents[2]
        yield os.pathsep.join(filter(None, [folder, str(here), os.environ.get("PYTHONPATH", "")]))

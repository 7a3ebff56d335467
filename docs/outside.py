"""For MkDocs: a link to a file of the repository outside of docs/ becomes its text, as the site has no such file.

A link to a file that does not exist is left, and ends the build as every broken link does.
"""

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)#\s]+)\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """The page without links that lead out of the site."""
    folder = (DOCS / page.file.src_uri).parent

    def text_or_link(link: re.Match[str]) -> str:
        target = (folder / link[2]).resolve()
        outside = target.exists() and not target.is_relative_to(DOCS)
        return link[1] if outside else link[0]

    return _LINK.sub(text_or_link, markdown)

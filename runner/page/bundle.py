"""The page's modules of JavaScript as one script without imports, in the order of their imports.

Only two forms are understood, which the modules keep to: `import { a, b } from "./name.mjs";` and `export` before a
`const`, `function` or `async function` at the beginning of a line.
"""

import re
from importlib import resources
from typing import Final

_IMPORT: Final = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.mjs";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:const|(?:async )?function) (\w+))", re.MULTILINE)


def bundled(entry: str = "app") -> str:
    """The module `entry` and all that it imports, each wrapped in a function that returns what it exports."""
    done: dict[str, str] = {}
    _add(entry, done)
    return '"use strict";\nconst modules = {};\n' + "".join(done.values())


def source(name: str) -> str:
    """The text of a file of the page."""
    return resources.files(__package__).joinpath("web", name).read_text("utf-8")


def _add(name: str, done: dict[str, str]) -> None:
    text = source(f"{name}.mjs")
    for _, needed in _IMPORT.findall(text):
        if needed not in done:
            _add(needed, done)
    exports = _EXPORT.findall(text)
    body = _EXPORT.sub("", _IMPORT.sub(lambda found: f"const {{{found[1]}}} = modules.{found[2]};\n", text))
    done[name] = f"modules.{name} = (() => {{\n{body}return {{ {', '.join(exports)} }};\n}})();\n"

"""Pages of which each sentence names the test that holds it: `- A sentence [test_module.test_name].`"""

import re
from pathlib import Path
from typing import Final

_SENTENCE: Final = re.compile(r"- .*[^.] \[((?:\w+/)?test_\w+)\.(test_\w+)\]\.")
_TESTS: Final = Path(__file__).resolve().parent


def check_held(sentences: list[str]) -> None:
    """Fails for a sentence that names no test, or one that does not exist."""
    for sentence in sentences:
        named = _SENTENCE.fullmatch(sentence)
        assert named, sentence
        module, test = named.groups()
        assert f"def {test}(" in (_TESTS / f"{module}.py").read_text(encoding="utf-8"), sentence

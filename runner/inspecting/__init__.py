"""What data look like before anything is trained on them: counts, files, doubtful images, copies and leakage.

    >>> from runner.data import Digits
    >>> found = examined(read(Digits(name="digits")))
    >>> found.splits["train"].count, len(found.doubtful), found.shared
    (1294, 0, ())

All of it is plain values, which the verb `describe data` prints as text and JSON, and the page of the data shows.
"""

from runner.inspecting.drawing import page_of
from runner.inspecting.findings import Examined, Findings, examined
from runner.inspecting.reading import of_dataset, read

__all__ = ["Examined", "Findings", "examined", "of_dataset", "page_of", "read"]

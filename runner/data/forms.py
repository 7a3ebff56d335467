"""The forms that labels of examples have.

classes: int32 (n,), the number of the class. labels: float32 (n, k), 1 for each label that an example has, else 0.
numbers: float32 (n, k).
"""

from typing import Literal

Form = Literal["classes", "labels", "numbers"]

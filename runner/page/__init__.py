"""The page of a trained network: one HTML file that holds the network with its weights and runs it in a browser.

>>> shown = examples(images, labels[:5], trained.answers(images, placement))
>>> text = html(trained, shown, placement)     # a file of this text opens by double click, and loads nothing else
"""

from runner.page.examples import Example, examples
from runner.page.moments import Moment
from runner.page.writing import MULTIPLY_ADDS, html

__all__ = ["MULTIPLY_ADDS", "Example", "Moment", "examples", "html"]

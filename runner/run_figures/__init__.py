"""The figures of a run: a file for each, which says when it is drawn and what it shows."""

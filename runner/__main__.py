"""`python -m runner` is the console script `runner`."""

import sys

from runner import completion, interrupts


def main() -> None:
    """The command line, whose imports and whose end are what Python's collector of garbage would slow down most."""
    interrupts.end_at_once()
    # Before all else: whoever presses the tab key waits for the answer.
    if (asked := completion.request(sys.argv[1:])) is not None:
        sys.exit(completion.answer(asked))
    from runner import memory, output

    output.settle()
    with memory.rare_collections():
        from runner import cli

        interrupts.raise_again()
        try:
            cli.main()
        finally:
            interrupts.end_at_once()


if __name__ == "__main__":
    main()

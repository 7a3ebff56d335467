"""`python -m runner` is the console script `runner`."""

from runner import interrupts


def main() -> None:
    """The command line, whose imports and whose end are what Python's collector of garbage would slow down most."""
    interrupts.end_at_once()
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

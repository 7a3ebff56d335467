"""`python -m runner` is the console script `runner`."""

from runner import memory


def main() -> None:
    """The command line, whose imports and whose end are what Python's collector of garbage would slow down most."""
    with memory.collected_seldom():
        from runner import cli

        cli.main()


if __name__ == "__main__":
    main()

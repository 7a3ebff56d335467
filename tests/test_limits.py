"""The page of limits says what `runner/limits.py` holds."""

from limits_page import PAGE, documented, page, readable

from runner import limits


def test_the_page_of_limits_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python tests/limits_page.py`"


def test_every_limit_is_documented() -> None:
    assert [name for name, _ in documented()] == [name for name in vars(limits) if name.isupper()]


def test_values_are_readable() -> None:
    assert readable("X_BYTES", 2**32) == "4 GiB"
    assert readable("X_BYTES", 1000) == "1,000 bytes"
    assert readable("ARRAY_VALUES", 2**31 - 1) == "2,147,483,647"

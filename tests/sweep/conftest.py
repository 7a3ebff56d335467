"""What tests of searches share."""

from typing import Any

import optuna
import pytest


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[optuna.Study]:
    """Optuna's own studies in the order in which they are made; the last is that of the search opened last."""
    made: list[optuna.Study] = []
    create = optuna.create_study

    def noted(*arguments: Any, **named: Any) -> optuna.Study:
        made.append(create(*arguments, **named))
        return made[-1]

    monkeypatch.setattr(optuna, "create_study", noted)
    return made

"""A worker with everything around it in memory."""

import pytest

from malha.testing.plant import Plant
from malha.testing.shop import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def plant() -> Plant:
    return Plant()

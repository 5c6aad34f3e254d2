"""A worker with everything around it in memory."""

import pytest

from malha.testing.shop import Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()

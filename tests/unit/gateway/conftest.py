"""A gateway's runs with everything around them in memory."""

import pytest

from malha.testing.gate import Gate


@pytest.fixture
def gate() -> Gate:
    return Gate()

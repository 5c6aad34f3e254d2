"""Which models a planner opens follows from its settings."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from malha.api.run.v1.chat_pb2 import ChatMessage, Role
from malha.errors import ConfigurationError
from malha_planner.adapters.openai_model import open_server
from malha_planner.models.registry import open_models
from malha_planner.models.tokens import at_most, estimate, estimate_messages
from malha_planner.settings import Settings


def settings(**given: object) -> Settings:
    return Settings(state_dir=Path("state"), secrets_dir=Path("secrets"), **given)  # type: ignore[arg-type]  # by field


async def test_the_offline_model_is_always_there_and_no_other_without_being_asked_for() -> None:
    models = open_models(settings(), open_server)
    assert list(models) == ["offline/extractive"]
    assert settings().default_model in models


async def test_models_of_a_server_are_opened_by_name() -> None:
    models = open_models(
        settings(
            openai_base_url="http://127.0.0.1:1/v1", openai_api_key=SecretStr("k"), openai_models="one, two,"
        ),
        open_server,
    )
    assert list(models) == ["offline/extractive", "openai/one", "openai/two"]
    assert models["openai/two"].is_llm


async def test_models_without_a_server_stop_the_start() -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL"):
        open_models(settings(openai_models="one"), open_server)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000/v1",
        "api.openai.com/v1",
        "ftp://a/v1",
        "http:///v1",
        "http://a:99999/v1",
        "http://[::1/v1",
        "http://u:hunter2@a/v1",
        "http://a/v1?k=hunter2",
    ],
)
async def test_an_address_that_no_request_can_be_sent_to_stops_the_start(url: str) -> None:
    """Each call would be taken for one whose answer was lost, and paid."""
    with pytest.raises(ConfigurationError, match="base URL") as caught:
        open_models(settings(openai_base_url=url, openai_models="one"), open_server)
    assert "hunter2" not in str(caught.value)


async def test_a_key_with_the_end_of_its_line_stops_the_start_and_is_not_repeated() -> None:
    given = settings(openai_base_url="http://a/v1", openai_api_key=SecretStr("sk-x\n"), openai_models="one")
    with pytest.raises(ConfigurationError, match="key") as caught:
        open_models(given, open_server)
    assert "sk-x" not in str(caught.value)


def test_the_bound_is_above_the_estimate_for_any_script() -> None:
    for text in (
        "",
        "plain words",
        "ação e reação",
        "日本語のテキスト",
        "🙂" * 20,
        "x" * 5000,
        "{}[](),;" * 50,
    ):
        messages = [ChatMessage(role=Role.ROLE_USER, text=text)]
        assert at_most(messages) >= estimate_messages(messages)


def test_the_estimate_is_about_a_token_for_four_letters() -> None:
    assert estimate("Money is reserved before each call.") == pytest.approx(8, abs=3)

"""Which models a planner opens follows from its settings."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from malha.api.run.v1.chat_pb2 import ChatMessage, Role
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
    with pytest.raises(ValueError, match="OPENAI_BASE_URL"):
        open_models(settings(openai_models="one"), open_server)


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

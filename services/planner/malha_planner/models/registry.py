"""Which models there are: "<provider>/<name>" to the model that answers under it."""

from collections.abc import Callable, Iterable, Sequence

from pydantic import SecretStr

from malha.errors import ConfigurationError
from malha_planner.models.offline.model import OfflineModel
from malha_planner.ports import Model, Models
from malha_planner.settings import Settings

OFFLINE = ("extractive",)
OpenServer = Callable[[str, SecretStr, Sequence[str]], Iterable[Model]]
"""Opens models of an OpenAI-compatible server: its base URL, its key, the models' names."""


def open_models(settings: Settings, open_server: OpenServer) -> Models:
    """The offline model, and the models of the OpenAI-compatible server if one is set.

    Raises ConfigurationError where models of a server are named without its address, or it has none.
    """
    models: list[Model] = [OfflineModel(name) for name in OFFLINE]
    named = [name.strip() for name in settings.openai_models.split(",") if name.strip()]
    if named and not settings.openai_base_url:
        raise ConfigurationError(
            "MALHA_PLANNER_OPENAI_MODELS names models, but MALHA_PLANNER_OPENAI_BASE_URL is not set"
        )
    if named:
        models += open_server(settings.openai_base_url, settings.openai_api_key, named)
    return {f"{model.provider}/{model.name}": model for model in models}

"""Two third-party providers that need each other, for the resolver's tests."""

from __future__ import annotations

from pydantic import BaseModel

from stack_core.apis.inference import Inference
from stack_core.apis.models import Models
from stack_core.providers._registry import provider


class NoConfig(BaseModel):
    """Nothing to configure."""


@provider("inline::needs-models")
class NeedsModels(Inference):
    """Inference that asks for models."""

    Config = NoConfig

    def __init__(self, config: NoConfig, models: Models) -> None:
        self.models_api = models


@provider("inline::needs-inference")
class NeedsInference(Models):
    """Models that ask for inference."""

    Config = NoConfig

    def __init__(self, config: NoConfig, inference: Inference) -> None:
        self.inference = inference


@provider("inline::may-use-models")
class MayUseModels(Inference):
    """Inference that works without models too."""

    Config = NoConfig

    def __init__(self, config: NoConfig, models: Models | None = None) -> None:
        self.models_api = models


@provider("inline::needs-a-package", packages=("no_such_package_at_all",), extra="moon")
class NeedsPackage(Inference):
    """Inference behind an optional package."""

    Config = NoConfig

    def __init__(self, config: NoConfig) -> None:
        self.config = config

"""From declarations to an order: dependencies, circles, missing packages, planned types."""

from __future__ import annotations

from typing import Any

import pytest

from stack_core.apis.models import Models
from stack_core.config import load_config
from stack_core.errors import ConfigError, DependencyCycle, MissingPackage, Unsupported
from stack_core.providers import _registry
from stack_core.providers._planned import PLANNED
from stack_core.resolver import plan

MODULE = "tests.stack_core.circle_providers"
AUTO = ("file_processors", "auto")
ALWAYS = {AUTO, ("responses", "builtin")}
"""What every stack has."""
"""A provider that every stack has."""


def planned(**providers: str) -> Any:
    entries = {
        api: [{"provider_id": type_id, "provider_type": f"inline::{type_id}", "module": MODULE}]
        for api, type_id in providers.items()
    }
    return plan(load_config({"name": "x", "providers": entries}))


def test_a_provider_comes_after_what_it_needs() -> None:
    out = planned(models="needs-inference", inference="may-use-models")
    order = [key for key in out.order if key not in ALWAYS]
    assert order == [("inference", "may-use-models"), ("models", "needs-inference")]


def test_a_circle_is_named() -> None:
    with pytest.raises(DependencyCycle, match="inference/needs-models") as caught:
        planned(inference="needs-models", models="needs-inference")
    assert "models/needs-inference" in caught.value.message


def test_dependencies_are_the_constructor_s_annotations() -> None:
    spec = _registry.find("inference", "inline::may-use-models", MODULE)
    assert _registry.dependencies(spec) == {"models": (Models, False)}
    assert _registry.is_api(Models)
    assert not _registry.is_api(str)


def test_a_missing_package_is_listed_with_its_command() -> None:
    provider = planned(inference="needs-a-package").providers["inference", "needs-a-package"]
    assert isinstance(provider.error, MissingPackage)
    assert provider.error.hint == "pip install 'llama-magics[moon]'"


def test_planned_types_are_known_and_not_at_hand() -> None:
    with pytest.raises(Unsupported, match="not available in this version"):
        _registry.find("inference", "inline::sentence-transformers")
    at_hand = {f"inference/{spec.type}" for spec in _registry.known("inference")}
    assert not at_hand & PLANNED
    assert len(at_hand) >= 25


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="no_such_module"):
        plan(
            load_config(
                {"name": "x", "providers": {"inference": [{"provider_type": "inline::x", "module": "no_such_module"}]}}
            )
        )


def test_two_providers_of_one_id_are_refused() -> None:
    entry = {"provider_id": "e", "provider_type": "inline::may-use-models", "module": MODULE}
    with pytest.raises(ConfigError, match=r"inference\[1\].*two inference providers have the id 'e'"):
        plan(load_config({"name": "x", "providers": {"inference": [entry, entry]}}))


def test_an_entry_of_another_api_under_a_taken_id_is_left_out_with_its_reason() -> None:
    inference = {"provider_id": "nvidia", "provider_type": "remote::nvidia", "config": {"api_key": "k"}}
    guard = {"provider_id": "nvidia", "provider_type": "remote::nvidia", "config": {"guardrails_service_url": "u"}}
    out = plan(load_config({"name": "x", "providers": {"inference": [inference, guard]}}))
    assert list(out.specs) == [("inference", "nvidia"), AUTO]
    assert [str(p.error) for p in out.providers.values() if p.error] == [
        "providers.inference[1]: two inference providers have the id 'nvidia'"
    ]
    with pytest.raises(ConfigError, match="two inference providers"):
        plan(load_config({"name": "x", "providers": {"inference": [inference, inference]}}))


def test_an_unknown_name_in_the_apis_list_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"apis\[1\].*'infrence' is no API") as caught:
        plan(load_config({"name": "x", "apis": ["models", "infrence"]}))
    assert "inference" in (caught.value.hint or "")


def test_a_relative_provider_module_is_refused() -> None:
    entry = {"provider_type": "inline::x", "module": "..x"}
    with pytest.raises(ConfigError, match="not absolute"):
        plan(load_config({"name": "x", "providers": {"inference": [entry]}}))


def test_two_of_one_id_are_refused_where_the_api_is_not_here_yet() -> None:
    entry = {"provider_type": "inline::llama-guard"}
    with pytest.raises(ConfigError, match=r"safety\[1\].*two safety providers"):
        plan(load_config({"name": "x", "providers": {"safety": [entry, entry]}}))


def test_the_apis_list_limits_what_is_built() -> None:
    entry = {"provider_id": "e", "provider_type": "inline::may-use-models", "module": MODULE}
    out = plan(load_config({"name": "x", "apis": ["safety"], "providers": {"inference": [entry]}}))
    assert out.providers.keys() == ALWAYS


@pytest.mark.parametrize(
    ("type_id", "variable"),
    [
        ("remote::openai", "OPENAI_API_KEY"),
        ("remote::ollama", "OLLAMA_URL"),
        ("remote::vllm", "VLLM_URL"),
        ("remote::passthrough", "PASSTHROUGH_URL"),
        ("remote::azure", "AZURE_API_KEY"),
        ("inline::sentence-transformers", None),
    ],
)
def test_the_variable_that_says_whether_a_service_is_set_up(type_id: str, variable: str | None) -> None:
    assert _registry.switch("inference", type_id) == variable

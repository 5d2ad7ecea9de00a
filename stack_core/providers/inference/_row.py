"""A service as data, and how a row becomes a provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stack_core.providers import _registry
from stack_core.providers.inference import _access as access
from stack_core.providers.inference import _listing as listing
from stack_core.providers.inference import _quirks as quirks
from stack_core.providers.inference import _rerank as rerank

if TYPE_CHECKING:
    from stack_core.providers.inference._upstream import Target, Upstream

Fields = Mapping[str, tuple[Any, Any, str]]
ALL = ("chat", "completions", "embeddings")


@dataclass(frozen=True, eq=False)
class Row:
    """What there is to know about a service."""

    type: str
    name: str
    """How messages and the documentation call it."""
    url: str = ""
    """Its address; what is missing of `suffix` is added to it."""
    key: str = ""
    """The environment variable of its key; empty where it needs none."""
    offers: tuple[str, ...] = ALL
    suffix: str = "/v1"
    url_field: str = "url"
    url_env: str = ""
    key_field: str = "api_key"
    key_for: str = "all"
    """`all` addresses need a key, only the `hosted` one (the host of `url`), or `none`."""
    data: Mapping[str, str] = field(default_factory=dict)
    """Name in a request's provider data → config field; `NAME_api_key` where left out."""
    fields: Fields = field(default_factory=dict)
    """Further config fields: type, default, environment variable."""
    embeddings: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Embedding model → (dimension, context length)."""
    think: tuple[str, str] | None = None
    """Tags around reasoning that the service leaves in the text."""
    asks_usage: bool = True
    """Streams count tokens when `stream_options` asks; False where they do so unasked or refuse the field."""
    inline_images: bool = False
    tagged: bool = False
    """A model id without a tag means `:latest`."""
    steps: tuple[quirks.Step, ...] = ()
    access: Callable[[], access.Access] = access.Bearer
    listing: listing.Listing = listing.listed
    locate: Callable[[Upstream, Target], Awaitable[str]] | None = None
    """Finds the address where none is configured."""
    rerank: rerank.Rerank | None = None
    health: str | None = "list"
    """`list` asks for the models; else a URL with {root} or {base}; None where nothing is free."""
    start: str = ""
    """The command that starts it, where it runs on the user's machine."""

    @property
    def per_request(self) -> Mapping[str, str]:
        """Name in the provider data of a request → the config field that it takes the place of."""
        name = self.type.partition("::")[2].replace("-", "_").replace("::", "_")
        return self.data or {f"{name}_{self.key_field}": self.key_field}

    def needs_key(self, base: str) -> bool:
        """Whether a call to this address goes nowhere without a key."""
        if self.key_for == "hosted":
            return urlsplit(base).hostname == urlsplit(self.url).hostname
        return bool(self.key) and self.key_for == "all"


def declare(row: Row) -> None:
    """Make a row findable as a provider; its config model is made when a run file names it."""
    _registry.register_later("inference", row.type, partial(_spec, row))


def _spec(row: Row) -> _registry.ProviderSpec:
    from stack_core.providers.inference._config import config_model, sample  # here: they load the HTTP client
    from stack_core.providers.inference.openai_compatible import OpenAICompatible

    doc = f"{row.name}, through its OpenAI-compatible interface."
    address = row.url_env if row.key_for == "none" else ""  # a key that is not needed says nothing
    config = config_model(row)
    return _registry.ProviderSpec(
        "inference", row.type, OpenAICompatible, config, doc=doc, sample=sample(row), variable=address
    )

"""Where tools run: containers with their network and skills, or the caller's own machine.

Shapes: OpenAI 2.3.0 (Responses).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stack_core.apis._by_type import Maybe
from stack_core.apis._shapes import Open


class DomainSecret(Open):
    """A secret that requests to a domain carry."""

    domain: str
    name: str
    value: str


class NoNetwork(Open):
    """A container without a network."""

    type: Literal["disabled"] = "disabled"


class AllowedNetwork(Open):
    """A container that reaches some domains."""

    type: Literal["allowlist"] = "allowlist"
    allowed_domains: list[str]
    domain_secrets: Maybe[list[DomainSecret]] = None


NetworkPolicy = Annotated[NoNetwork | AllowedNetwork, Field(discriminator="type")]


class SkillReference(Open):
    """A skill by its id."""

    type: Literal["skill_reference"] = "skill_reference"
    skill_id: str
    version: Maybe[str] = None


class SkillSource(Open):
    """A skill's files: a zip archive in base64."""

    type: Literal["base64"] = "base64"
    media_type: Literal["application/zip"] = "application/zip"
    data: str


class InlineSkill(Open):
    """A skill by its content."""

    type: Literal["inline"] = "inline"
    name: str
    description: str
    source: SkillSource


class LocalSkill(Open):
    """A skill in the caller's own folder."""

    name: str
    description: str
    path: str


class AutoContainer(Open):
    """A container that is made for the code interpreter."""

    type: Literal["auto"] = "auto"
    file_ids: Maybe[list[str]] = None
    memory_limit: Maybe[Literal["1g", "4g", "16g", "64g"]] = None
    network_policy: Maybe[NetworkPolicy] = None


class ShellContainer(Open):
    """A container that is made for the shell."""

    type: Literal["container_auto"] = "container_auto"
    file_ids: Maybe[list[str]] = None
    memory_limit: Maybe[Literal["1g", "4g", "16g", "64g"]] = None
    network_policy: Maybe[NetworkPolicy] = None
    skills: Maybe[list[Annotated[SkillReference | InlineSkill, Field(discriminator="type")]]] = None


class LocalEnvironment(Open):
    """The caller's own machine."""

    type: Literal["local"] = "local"
    skills: Maybe[list[LocalSkill]] = None


class ContainerReference(Open):
    """A container that is there already."""

    type: Literal["container_reference"] = "container_reference"
    container_id: str

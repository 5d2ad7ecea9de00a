"""Who may do what: the rules of Llama Stack's run file (`server.auth.access_policy`), checked for every call.

A rule permits or forbids actions on resources to a principal, possibly under one condition. The first that fits
decides; where rules are given and none fits, the call is refused. Without rules everything is allowed.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stack_core import context
from stack_core.apis._call import Call, Handler
from stack_core.errors import AccessDenied, ConfigError

Action = Literal["create", "read", "update", "delete"]
_ACTIONS: dict[str, Action] = {"GET": "read", "POST": "create", "PUT": "update", "DELETE": "delete"}


class Scope(BaseModel):
    """Whose, what and on what. `resource` is a pattern such as `model::ollama/*`."""

    model_config = ConfigDict(extra="forbid")
    principal: str | None = None
    actions: list[Action] | Action = Field(default_factory=list)
    resource: str | None = None

    def fits(self, who: str | None, action: str, resource: str) -> bool:
        """Whether the call is in this scope."""
        actions = [self.actions] if isinstance(self.actions, str) else self.actions
        return (
            (self.principal is None or self.principal == who)
            and (not actions or action in actions)
            and (self.resource is None or fnmatchcase(resource, self.resource))
        )


class Rule(BaseModel):
    """`permit` or `forbid` a scope; `when`/`unless` is `user with VALUE in ATTRIBUTES`."""

    model_config = ConfigDict(extra="forbid")
    permit: Scope | None = None
    forbid: Scope | None = None
    when: str | None = None
    unless: str | None = None
    description: str | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Rule:
        if (self.permit is None) == (self.forbid is None):
            raise ValueError("a rule has either permit or forbid")
        for text in (self.when, self.unless):
            if text is not None and not _readable(text):
                raise ValueError(f"the condition {text!r} is not of the form 'user with VALUE in ATTRIBUTE'")
        return self

    def decides(self, caller: context.User | None, action: str, resource: str) -> bool | None:
        """True permits, False forbids, None does not fit."""
        scope = self.permit or self.forbid
        if scope is None or not scope.fits(caller.id if caller else None, action, resource):
            return None
        if self.when is not None and not _holds(self.when, caller):
            return None
        if self.unless is not None and _holds(self.unless, caller):
            return None
        return self.permit is not None


class Access:
    """The policy as middleware.

    Raises:
        ConfigError: a rule that cannot be read; with its place.
    """

    def __init__(self, rules: Any) -> None:
        self._rules = []
        if not isinstance(rules, list):
            raise ConfigError("must be a list of rules", where="server.auth.access_policy")
        for index, rule in enumerate(rules):
            try:
                self._rules.append(Rule.model_validate(rule))
            except ValidationError as error:
                fault = error.errors()[0]
                raise ConfigError(
                    fault["msg"], "see the access rules in the guide", where=f"server.auth.access_policy[{index}]"
                ) from error

    async def middleware(self, call: Call, proceed: Handler) -> Any:
        """Refuse what the rules do not permit."""
        if self._rules:
            action, resource = _asked(call)
            caller = context.user.get()
            decisions = (rule.decides(caller, action, resource) for rule in self._rules)
            if not next((decision for decision in decisions if decision is not None), False):
                who = caller.id if caller else "an unknown caller"
                raise AccessDenied(f"{who} may not {action} {resource}", "ask for a rule in server.auth.access_policy")
        return await proceed(call)


def _asked(call: Call) -> tuple[str, str]:
    """The action, and the resource as `kind::id`. Using a model is reading it."""
    route = call.route
    if route.key is not None:
        return "read", f"{route.key}::{getattr(call.args.get('request'), route.key, call.args.get(route.key, ''))}"
    named = next((str(value) for name, value in call.args.items() if name in route.path_params), "")
    request = call.args.get("request")
    named = named or str(getattr(request, "model_id", ""))
    return _ACTIONS[route.verb], f"{route.api.removesuffix('s')}::{named}"


def _readable(condition: str) -> bool:
    words = condition.split()
    return len(words) == 5 and words[0] == "user" and words[1] == "with" and words[3] == "in"


def _holds(condition: str, caller: context.User | None) -> bool:
    _, _, value, _, attribute = condition.split()
    return caller is not None and value in caller.attributes.get(attribute, ())

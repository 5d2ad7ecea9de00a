"""What the registries share: who serves a resource, who may see it, pages of a list, the provider of a call.

A registry is the table of one kind with the providers of one API. Rows of the run file belong to nobody and are seen by
all; what a known caller registers is theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from stack_core import context
from stack_core.apis._call import Call
from stack_core.apis._resources import Resource
from stack_core.builtin._ground import Ground
from stack_core.errors import AccessDenied, ConfigError, Conflict, InvalidRequest, NotFound, Unsupported
from stack_core.resources import ResourceTable

R = TypeVar("R", bound=Resource)
Q = TypeVar("Q", bound=BaseModel)


@dataclass(frozen=True)
class Kind(Generic[R, Q]):
    """One kind of resource.

    Args:
        name: how errors call one, and the prefix of its keys.
        shape: its model.
        request: what registers one; a row of the run file has the same fields.
        make: the resource of a request, given the provider's id.
        api: whose providers serve it.
        section: the run file's list under `registered_resources`.
        key: the argument of a call that names one.
        unknown: the error of an id that is not there.
    """

    name: str
    shape: type[R]
    request: type[Q]
    make: Callable[[Q, str], R]
    api: str
    section: str
    key: str
    unknown: type[NotFound] = NotFound


class Registry(Generic[R, Q]):
    """The resources of one kind.

    Args:
        choose: which provider serves a request that names none; None leaves it to the only one.
        check: refuses a resource before it is registered.
    """

    def __init__(
        self,
        ground: Ground,
        kind: Kind[R, Q],
        choose: Callable[[Q], str | None] | None = None,
        check: Callable[[R], Awaitable[None]] | None = None,
    ) -> None:
        self._ground, self._kind, self._choose, self._check = ground, kind, choose, check
        self._writing = asyncio.Lock()  # of two callers who register one id at once, the second is told
        rows = enumerate(ground.registered(kind.section))
        fixed = [self._configured(row, f"registered_resources.{kind.section}[{index}]") for index, row in rows]
        self._table = ResourceTable(kind.name, kind.shape, ground.kv("metadata"), [(r.identifier, r) for r in fixed])

    async def get(self, identifier: str) -> R:
        """One resource that the caller may see.

        Raises:
            NotFound: there is none of this id; names the nearest.
        """
        found = await self._found(identifier)
        if found is None:
            near = await self._table.near(identifier)
            raise self._kind.unknown(self._kind.name, identifier, [name for name, row in near.items() if _seen(row)])
        return found

    async def page(self, after: str | None = None, limit: int | None = None) -> dict[str, Any]:
        """The fields of a list: entries by id, those after `after`, at most `limit` or all.

        Raises:
            InvalidRequest: `after` is no id of this list.
        """
        if after is not None:
            await self._cursor(after)
        if limit is None:
            found = [row for row in await self.all() if after is None or row.identifier > after]
        else:
            found = await self._some(after, limit + 1)
        data = found[:limit]
        ends = (data[0].identifier, data[-1].identifier) if data else (None, None)
        return {"data": data, "first_id": ends[0], "last_id": ends[1], "has_more": len(found) > len(data)}

    async def all(self) -> list[R]:
        """Every resource that the caller may see, by id."""
        rows = await self._table.all()
        return [row for _, row in sorted(rows.items()) if _seen(row)]

    async def register(self, request: Q) -> R:
        """Register, or replace what the caller registered under the same id; the very same again changes nothing.

        Raises:
            NotFound: no such provider.
            InvalidRequest: several providers, and none is named; or an id that no address can hold.
            Conflict: the id is another's.
        """
        made = self._kind.make(request, self._provider_for(request))
        if not _can_be_asked(made.identifier):
            raise InvalidRequest(
                f"{self._kind.key}: {made.identifier!r} cannot stand in an address", "leave out ./, ../ and a last /"
            )
        if self._check is not None:
            await self._check(made)
        owner = context.owner()
        async with self._writing:
            before = await self._table.find(made.identifier)
            if before is not None and owner is not None and before.owner != owner:
                raise Conflict(f"the {self._kind.name} id {made.identifier!r} is taken", "choose another id")
            made = made.model_copy(update={"owner": before.owner if before is not None else owner})
            if made != before:
                await self._table.put(made.identifier, made)
        return made

    async def unregister(self, identifier: str) -> R:
        """Forget a resource; gives what it was.

        Raises:
            NotFound: there is none of this id; names the nearest.
            AccessDenied: it belongs to the stack, not to the caller.
        """
        found, owner = await self.get(identifier), context.owner()
        if owner is not None and found.owner != owner:
            raise AccessDenied(
                f"the {self._kind.name} {identifier!r} belongs to the stack", "its operator can remove it"
            )
        await self._table.remove(identifier)
        return found

    async def lookup(self, call: Call) -> Any:
        """The provider of a call that names a resource (see `routers/dispatch.py`).

        Raises:
            Unsupported: no provider serves this kind.
            NotFound: there is none of this id; names the nearest.
            StackError: why its provider did not start.
        """
        self.check_served()
        return self.serve(call, await self.get(str(named(call, self._kind.key))))

    def check_served(self) -> None:
        """Before a call looks for a resource: without a provider no id could help.

        Raises:
            Unsupported: no provider serves this kind.
        """
        if not self._ground.providers(api := self._kind.api):
            raise Unsupported(f"no provider of {api} is configured", f"add one under providers.{api} of the run file")

    def serve(self, call: Call, resource: R) -> Any:
        """The provider of a resource; notes it in the call."""
        call.provider_id = resource.provider_id
        return self.instance(resource)

    def instance(self, resource: R) -> Any:
        """The provider of a resource.

        Raises:
            InvalidRequest: the run file does not say which it is.
            NotFound: the run file no longer has it.
            StackError: why it did not start.
        """
        return self._ground.providers(self._kind.api)[self._present(resource.provider_id or None)].required()

    def _provider_for(self, request: Q) -> str:
        given = getattr(request, "provider_id", None) or (self._choose(request) if self._choose else None)
        return self._present(given)

    def _present(self, given: str | None) -> str:
        providers, api = self._ground.providers(self._kind.api), self._kind.api
        if given is None and len(providers) == 1:
            return next(iter(providers))
        if not providers:
            raise InvalidRequest(
                f"no provider of {api} is configured", f"add one under providers.{api} of the run file"
            )
        if given is None:
            raise InvalidRequest(
                f"provider_id is needed: several providers serve {api}", f"providers: {', '.join(providers)}"
            )
        if given not in providers:
            raise NotFound(f"{api} provider", given, providers)
        return given

    def _configured(self, row: dict[str, Any], where: str) -> R:
        """A row of the run file. Its provider is looked at when it is called: it may be one that does not run here."""
        try:
            request = self._kind.request.model_validate(row)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            path = ".".join([where, *map(str, first["loc"])])
            raise ConfigError(
                first["msg"], f"it has {', '.join(self._kind.request.model_fields)}", where=path
            ) from error
        providers = self._ground.providers(self._kind.api)
        only = next(iter(providers)) if len(providers) == 1 else ""
        given = getattr(request, "provider_id", None) or (self._choose(request) if self._choose else None)
        return self._kind.make(request, given or only)

    async def _some(self, after: str | None, wanted: int) -> list[R]:
        """At most `wanted` entries after an id that the caller may see."""
        found: list[R] = []
        while len(found) < wanted:
            rows = await self._table.page(after, wanted)
            found += [row for _, row in rows if _seen(row)]
            if len(rows) < wanted:
                break
            after = rows[-1][0]
        return found[:wanted]

    async def _found(self, identifier: str) -> R | None:
        """What the caller may see. An id that no registration can have is not looked up: a store may choke on it."""
        found = await self._table.find(identifier) if _can_be_stored(identifier) else None
        return found if found is not None and _seen(found) else None

    async def _cursor(self, after: str) -> None:
        if await self._found(after) is None:
            raise InvalidRequest(
                f"after: no {self._kind.name} {after!r} in this list", f"give the id of a {self._kind.name}"
            )


def named(call: Call, *names: str) -> Any:
    """The first of these arguments of a call that is given, on its own or as a field of the request."""
    request = call.args.get("request")
    for name in names:
        if (value := call.args.get(name, getattr(request, name, None))) is not None:
            return value
    return None


def _can_be_stored(identifier: str) -> bool:
    return "\0" not in identifier and not any("\ud800" <= character <= "\udfff" for character in identifier)


def _can_be_asked(identifier: str) -> bool:
    """Clients resolve `.` and `..` before they send an address, and a last slash is not told from none."""
    return not identifier.endswith("/") and not {".", ".."} & set(identifier.split("/"))


def _seen(resource: Resource) -> bool:
    owner = context.owner()
    return owner is None or resource.owner in (None, owner)

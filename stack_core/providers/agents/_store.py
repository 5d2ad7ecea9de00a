"""Agents, sessions and turns as they are kept: one row each, a session's turns in the order of their making."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from stack_core import context
from stack_core.apis._agent_config import AgentConfig
from stack_core.apis.agents import Agent, Session
from stack_core.errors import NotFound
from stack_core.storage.kv import KeyValue

Row = dict[str, Any]


class AgentStore:
    """The agents of all owners; every reading sees the caller's own. A session and its turns belong to their agent."""

    def __init__(self, store: KeyValue) -> None:
        self._kv = store

    # ---- agents

    async def add(self, config: AgentConfig) -> str:
        """Keep a new agent; gives its id."""
        agent_id = str(uuid4())
        row = {"owner": context.owner(), "created_at": _now(), "config": config.model_dump(mode="json")}
        await self._kv.set(f"agent/{agent_id}", json.dumps(row))
        return agent_id

    async def agent(self, agent_id: str) -> Agent:
        """One agent.

        Raises:
            NotFound: the caller has no such agent; names the nearest.
        """
        found = await self._kv.get(f"agent/{agent_id}")
        if found is None or not _own(row := json.loads(found)):
            raise NotFound("agent", agent_id, [agent.agent_id for agent in await self.agents()])
        return _agent(agent_id, row)

    async def agents(self) -> list[Agent]:
        """The caller's agents, oldest first."""
        rows = ((key.partition("/")[2], json.loads(text)) for key, text in await self._kv.scan("agent/"))
        return sorted((_agent(id, row) for id, row in rows if _own(row)), key=lambda agent: agent.created_at)

    async def remove(self, agent_id: str) -> None:
        """Forget an agent, its sessions and their turns."""
        await self.agent(agent_id)
        await self._kv.delete(f"agent/{agent_id}")
        await self._clear(f"session/{agent_id}/", f"turn/{agent_id}/")

    # ---- sessions

    async def add_session(self, agent_id: str, name: str) -> str:
        """Keep a new session of an agent; gives its id."""
        await self.agent(agent_id)
        session_id = str(uuid4())
        await self._kv.set(f"session/{agent_id}/{session_id}", json.dumps({"session_name": name, "started_at": _now()}))
        return session_id

    async def session(self, agent_id: str, session_id: str) -> Session:
        """One session without its turns.

        Raises:
            NotFound: the caller's agent has no such session; names the nearest.
        """
        await self.agent(agent_id)
        found = await self._kv.get(f"session/{agent_id}/{session_id}")
        if found is None:
            raise NotFound("session", session_id, [session.session_id for session in await self.sessions(agent_id)])
        return Session(session_id=session_id, turns=[], **json.loads(found))

    async def sessions(self, agent_id: str) -> list[Session]:
        """The sessions of an agent without their turns, oldest first."""
        await self.agent(agent_id)
        rows = await self._kv.scan(f"session/{agent_id}/")
        found = [Session(session_id=key.rpartition("/")[2], turns=[], **json.loads(text)) for key, text in rows]
        return sorted(found, key=lambda session: session.started_at)

    async def remove_session(self, agent_id: str, session_id: str) -> None:
        """Forget a session with its turns."""
        await self.session(agent_id, session_id)
        await self._kv.delete(f"session/{agent_id}/{session_id}")
        await self._clear(f"turn/{agent_id}/{session_id}/")

    # ---- turns

    async def turns(self, agent_id: str, session_id: str) -> list[tuple[str, Row]]:
        """(place, row) of each turn of a session, oldest first."""
        found = await self._kv.scan(f"turn/{agent_id}/{session_id}/")
        return [(key.rpartition("/")[2], json.loads(text)) for key, text in found]

    async def turn(self, agent_id: str, session_id: str, turn_id: str) -> tuple[str, Row]:
        """(place, row) of one turn.

        Raises:
            NotFound: the session has no such turn; names the nearest.
        """
        await self.session(agent_id, session_id)
        rows = await self.turns(agent_id, session_id)
        for place, row in rows:
            if row["turn"]["turn_id"] == turn_id:
                return place, row
        raise NotFound("turn", turn_id, ids(row for _, row in rows))

    async def put(self, agent_id: str, session_id: str, place: str | None, row: Row) -> None:
        """Keep a turn, in its place where it has one. Nothing is kept of a session that was deleted meanwhile."""
        if await self._kv.get(f"session/{agent_id}/{session_id}") is not None:
            place = place or f"{time.time_ns():020d}"
            await self._kv.set(f"turn/{agent_id}/{session_id}/{place}", json.dumps(row))

    async def _clear(self, *prefixes: str) -> None:
        for prefix in prefixes:
            for key, _ in await self._kv.scan(prefix):
                await self._kv.delete(key)


def ids(rows: Iterable[Row]) -> list[str]:
    """The ids of kept turns."""
    return [row["turn"]["turn_id"] for row in rows]


def cut(found: Sequence[Any], start_index: int | None, limit: int | None) -> tuple[list[Any], bool]:
    """(the entries of a page, whether more come after it)"""
    rest = list(found[start_index or 0 :])
    return (rest, False) if limit is None else (rest[:limit], len(rest) > limit)


def _agent(agent_id: str, row: Row) -> Agent:
    return Agent(agent_id=agent_id, agent_config=AgentConfig(**row["config"]), created_at=row["created_at"])


def _own(row: Row) -> bool:
    owner = context.owner()
    return owner is None or row["owner"] == owner


def _now() -> str:
    return datetime.now(UTC).isoformat()

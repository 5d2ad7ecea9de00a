"""Conversations on two tables: the conversations, and their items in the order of their coming."""

from __future__ import annotations

import secrets
import time
from typing import Any

from pydantic import TypeAdapter

from stack_core import context
from stack_core.apis._items import Include, InputItem, ItemReference, StoredItem
from stack_core.apis._kept_items import kept, shown
from stack_core.apis.conversations import (
    Conversation,
    Conversations,
    CreateConversationRequest,
    CreateItemsRequest,
    DeletedConversation,
    GetItemRequest,
    ItemList,
    ListItemsRequest,
    UpdateConversationRequest,
)
from stack_core.builtin._ground import Ground
from stack_core.errors import Conflict, InvalidRequest, UnknownId
from stack_core.storage.records import SUGGESTED, Records
from stack_core.storage.sql import Column, Where

_STORED: TypeAdapter[StoredItem] = TypeAdapter(StoredItem)


class ConversationStore(Conversations):
    """Every conversation belongs to whoever made it, and so do its items. Items are kept under the conversation's id
    and their own: the same item may stand in several conversations."""

    def __init__(self, ground: Ground) -> None:
        sql = ground.sql("conversations")
        self._conversations = Records(sql, "conversations", "conversation", unknown=UnknownId)
        fields = (Column("conversation", "text", nullable=False), Column("item", "text", nullable=False))
        self._items = Records(sql, "items", "item", fields=fields, unknown=UnknownId)

    async def create_conversation(self, request: CreateConversationRequest) -> Conversation:
        """Begin a conversation, with up to 20 items."""
        items = await self._resolved(request.items or [])
        row: dict[str, Any] = {
            "id": f"conv_{secrets.token_hex(24)}",
            "created_at": int(time.time()),
            "metadata": request.metadata or {},
        }
        await self._conversations.add(row, owner=context.owner())
        await self._append(row["id"], items)
        return Conversation(**row, items=_typed(items) if items else None)

    async def get_conversation(self, conversation_id: str) -> Conversation:
        """One conversation."""
        return Conversation(**await self._conversations.get(conversation_id, owner=context.owner()))

    async def update_conversation(self, conversation_id: str, request: UpdateConversationRequest) -> Conversation:
        """Replace the metadata."""

        def changed(row: dict[str, Any]) -> dict[str, Any]:
            return {**row, "metadata": request.metadata or {}}

        return Conversation(**await self._conversations.change(conversation_id, changed, owner=context.owner()))

    async def delete_conversation(self, conversation_id: str) -> DeletedConversation:
        """Forget a conversation and its items."""
        await self._conversations.remove(conversation_id, owner=context.owner())
        await self._items.remove_all([Where("conversation", "=", conversation_id)])
        return DeletedConversation(id=conversation_id)

    async def create_items(self, conversation_id: str, request: CreateItemsRequest) -> ItemList:
        """Add up to 20 items at the end, in their order."""
        await self.get_conversation(conversation_id)
        items = await self._resolved(request.items)
        await self._append(conversation_id, items)
        return _page(items, request.include, has_more=False)

    async def list_items(self, conversation_id: str, request: ListItemsRequest) -> ItemList:
        """A page of the items, newest first."""
        await self.get_conversation(conversation_id)
        after = None if request.after is None else _place(conversation_id, request.after)
        try:
            page = await self._items.page(
                after=after, limit=request.limit, order=request.order, where=_within(conversation_id)
            )
        except InvalidRequest as error:
            message = f"after: {conversation_id} has no item {request.after!r}"
            raise InvalidRequest(message, "give the id of an item of this very conversation") from error
        return _page([row["data"] for row in page.data], request.include, has_more=page.has_more)

    async def get_item(self, conversation_id: str, item_id: str, request: GetItemRequest) -> StoredItem:
        """One item."""
        await self.get_conversation(conversation_id)
        row = await self._items.find(_place(conversation_id, item_id))
        if row is None:
            raise await self._unknown(conversation_id, item_id)
        return _STORED.validate_python(shown(row["data"], request.include))

    async def delete_item(self, conversation_id: str, item_id: str) -> Conversation:
        """Remove an item; gives the conversation that it was in."""
        conversation = await self.get_conversation(conversation_id)
        if not await self._items.remove_all([Where("id", "=", _place(conversation_id, item_id))]):
            raise await self._unknown(conversation_id, item_id)
        return conversation

    async def _resolved(self, items: list[InputItem]) -> list[dict[str, Any]]:
        """Items as they are stored, with what references mean in their place.

        Raises:
            InvalidRequest: a reference to an item that the caller has nowhere, or one id twice.
        """
        found: list[dict[str, Any]] = []
        faults = []
        for index, item in enumerate(items):
            data = await self._referred(item.id) if isinstance(item, ItemReference) else kept(item)
            if data is None:
                faults.append({"loc": ["items", index, "id"], "msg": "no item has this id", "type": "value_error"})
            elif any(data["id"] == other["id"] for other in found):
                faults.append({"loc": ["items", index, "id"], "msg": "this id comes twice", "type": "value_error"})
            else:
                found.append(data)
        if faults:
            told = "; ".join(f"items.{fault['loc'][1]}.id: {fault['msg']}" for fault in faults)
            raise InvalidRequest(f"conversations: {told}", errors=faults)
        return found

    async def _referred(self, item_id: str) -> dict[str, Any] | None:
        page = await self._items.page(limit=1, where=[Where("item", "=", item_id)], owner=context.owner())
        return page.data[0]["data"] if page.data else None

    async def _append(self, conversation_id: str, items: list[dict[str, Any]]) -> None:
        """Raises:
        Conflict: the conversation has an item of one of the ids.
        UnknownId: the conversation was deleted meanwhile; then nothing is left of the items.
        """
        if not items:
            return
        rows = [{"id": _place(conversation_id, item["id"]), "data": item} for item in items]
        try:
            await self._items.add_all(
                rows, owner=context.owner(), conversation=conversation_id, item=lambda row: row["data"]["id"]
            )
        except Conflict as error:
            message = f"{conversation_id} has an item of one of these ids already"
            raise Conflict(message, "leave the ids out: new ones are made") from error
        if await self._conversations.find(conversation_id) is None:
            await self._items.remove_all(_within(conversation_id))
            raise UnknownId("conversation", conversation_id)

    async def _unknown(self, conversation_id: str, item_id: str) -> UnknownId:
        newest = await self._items.page(limit=SUGGESTED, where=_within(conversation_id))
        return UnknownId("item", item_id, [row["data"]["id"] for row in newest.data])


def _place(conversation_id: str, item_id: str) -> str:
    return f"{conversation_id}/{item_id}"


def _within(conversation_id: str) -> list[Where]:
    return [Where("conversation", "=", conversation_id)]


def _typed(items: list[dict[str, Any]], include: list[Include] | None = None) -> list[StoredItem]:
    return [_STORED.validate_python(shown(item, include)) for item in items]


def _page(items: list[dict[str, Any]], include: list[Include] | None, *, has_more: bool) -> ItemList:
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return ItemList(data=_typed(items, include), first_id=first, last_id=last, has_more=has_more)

"""Conversations: items kept in their order, which responses read and add to (OpenAI's Conversations API).

Shapes: OpenAI 2.3.0, Llama Stack 0.3.5.
"""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import Field

from stack_core.apis._by_type import Maybe
from stack_core.apis._declare import route
from stack_core.apis._items import Includes, InputItem, StoredItem
from stack_core.apis._metadata import Metadata
from stack_core.apis._shapes import Listing, PageQuery, Shape, Strict

MOST_ITEMS = 20
"""How many items one call may add."""


class CreateConversationRequest(Strict):
    """Arguments of `create_conversation`."""

    metadata: Metadata | None = None
    items: list[InputItem] | None = Field(None, max_length=MOST_ITEMS, description="What it begins with.")


class UpdateConversationRequest(Strict):
    """Arguments of `update_conversation`: the metadata takes the place of what was there."""

    metadata: Metadata | None


class CreateItemsRequest(Strict):
    """Arguments of `create_items`."""

    items: list[InputItem] = Field(min_length=1, max_length=MOST_ITEMS)
    include: Includes | None = Field(None, description="What is given beside the plain items.")


class ListItemsRequest(PageQuery):
    """Which page of a conversation's items, and what is given beside the plain ones."""

    include: Includes | None = None


class GetItemRequest(Strict):
    """What is given beside the plain item."""

    include: Includes | None = None


class Conversation(Shape):
    """A conversation. `created_at` is in Unix seconds."""

    id: str
    object: Literal["conversation"] = "conversation"
    created_at: int
    metadata: dict[str, str] | None = None
    items: Maybe[list[StoredItem]] = Field(None, description="What it begins with, when it is made (Llama Stack).")


class DeletedConversation(Shape):
    """A conversation that is there no more, nor are its items."""

    id: str
    object: Literal["conversation.deleted"] = "conversation.deleted"
    deleted: bool = True


class ItemList(Listing[StoredItem]):
    """Items of a conversation."""


class Conversations(Protocol):
    """Conversations: items kept in their order, which responses read and add to (OpenAI's Conversations API)."""

    @route("POST", "/conversations", sdk="conversations.create")
    async def create_conversation(self, request: CreateConversationRequest) -> Conversation:
        """Begin a conversation, with up to 20 items."""
        ...

    @route("GET", "/conversations/{conversation_id}", sdk="conversations.retrieve")
    async def get_conversation(self, conversation_id: str) -> Conversation:
        """One conversation."""
        ...

    @route("POST", "/conversations/{conversation_id}", sdk="conversations.update")
    async def update_conversation(self, conversation_id: str, request: UpdateConversationRequest) -> Conversation:
        """Replace the metadata."""
        ...

    @route("DELETE", "/conversations/{conversation_id}", sdk="conversations.delete")
    async def delete_conversation(self, conversation_id: str) -> DeletedConversation:
        """Forget a conversation and its items."""
        ...

    @route("POST", "/conversations/{conversation_id}/items", sdk="conversations.items.create")
    async def create_items(self, conversation_id: str, request: CreateItemsRequest) -> ItemList:
        """Add up to 20 items at the end, in their order."""
        ...

    @route("GET", "/conversations/{conversation_id}/items", sdk="conversations.items.list")
    async def list_items(self, conversation_id: str, request: ListItemsRequest) -> ItemList:
        """A page of the items, newest first."""
        ...

    @route(
        "GET",
        "/conversations/{conversation_id}/items/{item_id}",
        sdk="conversations.items.get conversations.items.retrieve",
    )
    async def get_item(self, conversation_id: str, item_id: str, request: GetItemRequest) -> StoredItem:
        """One item."""
        ...

    @route("DELETE", "/conversations/{conversation_id}/items/{item_id}", sdk="conversations.items.delete")
    async def delete_item(self, conversation_id: str, item_id: str) -> Conversation:
        """Remove an item; gives the conversation that it was in."""
        ...

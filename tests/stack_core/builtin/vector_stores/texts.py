"""What these tests put into stores."""

from __future__ import annotations

from typing import Any

CATS = "Cats sleep most of the day. They purr when they are content."
DOGS = "Dogs bark at strangers and guard the house."
FISH = "Fish swim in the sea and never sleep in a house."


async def kept(stack: Any, name: str, text: str | bytes) -> str:
    """The id of a file that was uploaded."""
    content = text.encode() if isinstance(text, str) else text
    made = await stack.files.create_file(file=(name, content), purpose="assistants")
    return str(made.id)


async def zoo(stack: Any, **more: Any) -> tuple[str, dict[str, str]]:
    """A store with three files, and the ids of those by name."""
    store = await stack.vector_stores.create_vector_store(name="zoo", **more)
    ids = {}
    for name, text, legs in (("cats", CATS, 4), ("dogs", DOGS, 4), ("fish", FISH, 0)):
        ids[name] = await kept(stack, f"{name}.txt", text)
        attributes = {"kind": name, "legs": legs, "wet": name == "fish"}
        await stack.vector_stores.attach_file(vector_store_id=store.id, file_id=ids[name], attributes=attributes)
    return store.id, ids

"""A page of items that are all at hand."""

from __future__ import annotations

from typing import Any

from stack_core.apis.responses import ListInputItemsRequest
from stack_core.errors import InvalidRequest
from stack_core.storage.records import Data


def cut(items: list[Data], request: ListInputItemsRequest) -> tuple[list[Data], dict[str, Any]]:
    """(the items of the page in the order asked for, its `first_id`, `last_id` and `has_more`)

    Raises:
        InvalidRequest: a cursor that is no item's.
    """
    ordered = items if request.order == "asc" else items[::-1]
    ids = [item["id"] for item in ordered]
    for name in ("after", "before"):
        id = getattr(request, name)
        if id is not None and id not in ids:
            raise InvalidRequest(f"{name}: there is no item {id!r}", "give the id of an item of this very response")
    start = ids.index(request.after) + 1 if request.after is not None else 0
    end = ids.index(request.before) if request.before is not None else len(ids)
    page = ordered[start : min(end, start + request.limit)]
    more = start + request.limit < end
    first, last = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return page, {"first_id": first, "last_id": last, "has_more": more}

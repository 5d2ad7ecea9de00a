"""Showing results in a cell: all forms or one, live answers, and nothing twice."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from IPython.display import DisplayHandle, publish_display_data

from llama_magics import render
from llama_magics.results import Shown

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llama_magics.keys import Keys

_MIME = {"markdown": "text/markdown", "html": "text/html", "text": "text/plain"}


def scrub_with(keys: Keys) -> None:
    """Have known secrets masked in everything that is shown."""
    render.scrub = keys.scrub


def rich(shell: InteractiveShell | None) -> bool:
    """Whether the shell's front end shows more than plain text."""
    return shell is not None and hasattr(shell, "kernel")


def show(result: Shown, form: str) -> None:
    """Show a result in all its forms, or in the one that was asked for."""
    data = bundle_of(result, form) if form else result._repr_mimebundle_()
    if rich(get_ipython()):
        publish_display_data(data)  # type: ignore[no-untyped-call]  # untyped in IPython
    else:
        sys.stdout.write(data["text/plain"] + "\n")


def growing(text: str) -> Any:
    """An output that its `update(bundle, raw=True)` replaces in place."""
    handle: Any = DisplayHandle()  # type: ignore[no-untyped-call]  # untyped in IPython
    handle.display({"text/plain": text}, raw=True)
    return handle


def bundle_of(result: Shown, form: str) -> dict[str, Any]:
    """One form of a result, with plain text beside it for where that form cannot be shown."""
    bundle = result._repr_mimebundle_()
    plain = bundle["text/plain"]
    if form in ("text", "code"):
        whole = getattr(result, form, None) or plain
        return {"text/plain": render.bounded(whole, getattr(result, "bound", None), form)}
    if form == "json":
        vendor: Any = next((value for mime, value in bundle.items() if mime.startswith("application/vnd.")), {})
        return {"application/json": vendor, "text/plain": _json(vendor)}
    mime = _MIME[form]
    return {mime: bundle[mime], "text/plain": plain} if mime in bundle else {"text/plain": plain}


def shown_already(shell: InteractiveShell, result: Shown) -> None:
    """Let the cell give the result without showing it again: `_` and `Out` get it, and so does an assignment."""
    vars(result)["_ipython_display_"] = _nothing

    def forget() -> None:
        vars(result).pop("_ipython_display_", None)
        shell.events.unregister("post_execute", forget)

    shell.events.register("post_execute", forget)


def _nothing() -> None:
    """What a result shows that the cell has shown."""


def _json(data: Any) -> str:
    import json

    return json.dumps(data, indent=2, ensure_ascii=False, default=str)

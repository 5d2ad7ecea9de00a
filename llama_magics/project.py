"""Settings from `[tool.llama-magics]` in the nearest `pyproject.toml`. IPython's own configuration wins over them."""

from __future__ import annotations

from pathlib import Path

from traitlets import TraitError
from traitlets.config import Configurable


def apply(target: Configurable, configured: set[str]) -> str | None:
    """Set the traits that the file names and `configured` does not; gives what is wrong with the file, or None."""
    here = Path.cwd()
    path = next((f for d in (here, *here.parents) if (f := d / "pyproject.toml").is_file()), None)
    if path is None:
        return None
    import tomllib

    try:
        table = tomllib.loads(path.read_text("utf-8")).get("tool", {}).get("llama-magics", {})
    except (OSError, ValueError) as error:
        return f"{path.name} cannot be read: {error}"
    for name, value in table.items():
        if name not in target.class_trait_names(config=True):
            from stack_core.errors import nearest

            close = nearest(name, target.class_trait_names(config=True))
            return f"{path.name}, [tool.llama-magics]: unknown setting {name!r}" + (
                f", did you mean {close[0]!r}?" if close else ""
            )
        if name in configured:
            continue
        try:
            target.set_trait(name, value)
        except TraitError as error:
            return f"{path.name}, [tool.llama-magics]: {error}"
    return None

"""One of several processes works, until it is gone."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from stack_core.lease import STALE_SECONDS, Holder


def ended() -> int:
    """The number of a process that ran."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, True),
        ({"token": "of one that closed"}, False),
        ({"pid": 1}, True),
        ({"pid": 1, "age": STALE_SECONDS + 1}, False),
        ({"host": "elsewhere", "pid": 1}, True),
        ({"host": "elsewhere", "pid": 1, "age": STALE_SECONDS + 1}, False),
    ],
)
def test_a_lease_is_anothers_while_its_holder_is_there(change: dict[str, Any], taken: bool) -> None:
    mine, other = Holder(), Holder()
    lease = {**other.lease(), **change}
    lease["seen"] -= lease.pop("age", 0)
    assert mine.taken(lease) is taken
    mine.close()
    other.close()


def test_a_lease_ends_with_its_holder() -> None:
    mine, other = Holder(), Holder()
    lease = other.lease()
    assert not mine.taken({**lease, "pid": ended()})
    assert not mine.taken(mine.lease())
    assert not mine.taken(None)
    other.close()
    assert not mine.taken(lease)
    mine.close()

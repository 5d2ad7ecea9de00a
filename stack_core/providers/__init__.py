"""Providers: one module each, found by API and type. Third parties declare theirs with the same decorator."""

from stack_core.providers._registry import provider

__all__ = ["provider"]

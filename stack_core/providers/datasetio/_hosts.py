"""Which machines are asked for rows: an address that a caller gives must not reach what only this machine reaches."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from stack_core import context
from stack_core.errors import AccessDenied, InvalidRequest


class Hosts:
    """The rule for hosts.

    Args:
        private: whether addresses of this machine and its networks are asked; None: for whoever is not known as one of
            several callers, except those of the machine's own surroundings (link-local), where clouds keep their keys.
    """

    def __init__(self, private: bool | None) -> None:
        self._private = private

    @property
    def open(self) -> bool:
        """Whether addresses of the own network are asked for the caller of now."""
        return self._private if self._private is not None else context.owner() is None

    async def check(self, url: str) -> None:
        """See where an address leads before it is asked.

        Raises:
            AccessDenied: into the own network.
            InvalidRequest: nowhere.
        """
        try:
            host, port = urlsplit(url).hostname, urlsplit(url).port
        except ValueError as error:
            raise InvalidRequest(f"uri: {error}", "https://host/rows.jsonl") from error
        if not host:
            raise InvalidRequest("uri: the address names no host", "https://host/rows.jsonl")
        if self._private:
            return
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return  # a proxy may know it; who cannot reach it says so
        for *_, address in found:
            self._check_address(str(address[0]), host)

    def check_peer(self, answer: Any) -> None:
        """See who answered: a name may lead elsewhere the second time that it is looked up.

        Raises:
            AccessDenied: somebody of the own network.
        """
        stream = answer.extensions.get("network_stream")
        peer = stream.get_extra_info("server_addr") if stream is not None else None
        if peer is not None and not self._private and not getproxies():  # behind a proxy it is the proxy
            self._check_address(str(peer[0]), answer.url.host)

    def _check_address(self, text: str, host: str) -> None:
        address = ipaddress.ip_address(text.partition("%")[0])
        inner = getattr(address, "ipv4_mapped", None) or address
        refused = inner.is_link_local or inner.is_multicast if self.open else not inner.is_global
        if refused:
            raise AccessDenied(
                f"uri: {host} is an address of this stack's own network",
                "`private_hosts` in the provider's config allows it",
            )

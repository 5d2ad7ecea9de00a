"""The same APIs over HTTP: `await AsyncStackClient("http://localhost:8321").inference.chat_completion(…)`.

The names of Llama Stack's client stand beside their own: `await client.vector_stores.files.create(…)`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from stack_core import context, http
from stack_core.apis._bind import ApiHolder
from stack_core.apis._content import FileContent
from stack_core.apis._declare import Route
from stack_core.errors import InvalidRequest, ProviderTimeout, ProviderUnavailable, StackError
from stack_core.names import Names, carry_out
from stack_core.redaction import redact
from stack_core.wire.faults import error_of
from stack_core.wire.form_body import FormBody
from stack_core.wire.requests import JSON, outgoing, streams
from stack_core.wire.results import EVENT_STREAM, decode, decode_item, file_facts

_PROVIDER_DATA = "X-LlamaStack-Provider-Data"


class AsyncStackClient(ApiHolder):
    """A stack behind a server. Its APIs are attributes, as those of `Stack` are, with the names of Llama Stack's client
    beside their own.

    Args:
        base_url: such as `http://localhost:8321`; a `/v1` at its end is ignored.
        api_key: sent as a bearer token.
        provider_data: per-request provider keys, such as `{"openai_api_key": "…"}`; those of the surrounding
            `context.request_scope` are added to it.
        timeout: seconds to wait for each piece of an answer.

    Raises:
        InvalidRequest: the URL is not one of http or https.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        provider_data: Mapping[str, Any] | None = None,
        timeout: float = http.READ_TIMEOUT,
    ) -> None:
        self.base_url = _checked_url(base_url)
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        times = http.Timeouts(read=timeout)
        # A call is not repeated by itself: the server has already tried again where that is safe.
        self._http = http.open_client(self.base_url, network=http.Network(timeout=times), headers=headers, retries=0)
        self._provider_data = dict(provider_data or {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(Names(self._invoke), name)

    async def _invoke(self, route: Route, args: tuple[Any, ...], kwargs: dict[str, Any], shaped: bool) -> Any:
        return await carry_out(self.call, route, args, kwargs, shaped=shaped)

    async def call(self, route: Route, args: dict[str, Any]) -> Any:
        """Carry out a declared route on the server (the door of `apis/_bind.py`).

        Raises:
            StackError: what the server raised, as the same class.
            ProviderUnavailable: no server answers.
            ProviderTimeout: none answers in time.
        """
        out = outgoing(route, args)
        headers = {"accept": _accepted(route, args)}
        if isinstance(out.body, FormBody):
            headers |= {"content-type": out.body.content_type, "content-length": str(await out.body.size())}
        elif out.body is not None:
            headers["content-type"] = JSON
        if data := {**self._provider_data, **context.provider_data.get()}:
            headers[_PROVIDER_DATA] = json.dumps(data)
        request = self._http.build_request(out.verb, self.base_url + out.target, content=out.body, headers=headers)
        try:
            response = await self._http.send(request, stream=True)
        except http.TransportError as error:
            raise self._unreachable(error) from error
        if response.status_code < 400 and response.headers.get("content-type", "").startswith(EVENT_STREAM):
            return _Stream(response, route.item, self)
        if response.status_code < 400 and route.result is FileContent:
            return FileContent(self._pieces(response), **file_facts(response.headers), close=response.aclose)
        return await self._whole(response, route)

    async def _whole(self, response: http.Response, route: Route) -> Any:
        try:
            body = await response.aread()
        except http.TransportError as error:
            raise self._unreachable(error) from error
        finally:
            await response.aclose()
        if response.status_code >= 400:
            raise error_of(
                response.status_code,
                body,
                retry_after=http.retry_after(response.headers),
                allow=response.headers.get("allow", ""),
            )
        return decode(route.result, body)

    async def _pieces(self, response: http.Response) -> AsyncIterator[bytes]:
        try:
            async for piece in response.aiter_bytes():
                yield piece
        except http.TransportError as error:
            raise self._unreachable(error) from error
        finally:
            await response.aclose()

    def _unreachable(self, error: http.TransportError) -> StackError:
        if isinstance(error, http.TimeoutException) and not isinstance(error, http.ConnectTimeout):
            return ProviderTimeout(f"{self.base_url} did not answer in time", "AsyncStackClient(…, timeout=seconds)")
        reason = str(error) or type(error).__name__
        return ProviderUnavailable(
            f"no stack answers at {self.base_url}: {reason}",
            f"start one with `stack-core run notebook{_port_option(self.base_url)}`",
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncStackClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"AsyncStackClient({redact(self.base_url)!r})"


class _Stream:
    """The items of a streamed answer. Closing it closes the connection, and so stops the call."""

    def __init__(self, response: http.Response, item: Any, client: AsyncStackClient) -> None:
        self._response, self._client = response, client
        self._items = self._read(item)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await self._items.__anext__()

    async def aclose(self) -> None:
        """Stop the answer."""
        await self._items.aclose()
        await self._response.aclose()

    async def _read(self, item: Any) -> Any:
        events = http.EventParser()
        try:
            async for piece in http.body_of(self._response):
                for _, data in events.feed(piece):
                    if data == b"[DONE]":
                        return
                    yield decode_item(item, data)
            for _, data in events.finish():
                if data != b"[DONE]":
                    yield decode_item(item, data)
        except http.TransportError as error:
            raise self._client._unreachable(error) from error
        finally:
            await self._response.aclose()


def _accepted(route: Route, args: Mapping[str, Any]) -> str:
    if streams(route, args):
        return EVENT_STREAM
    return "*/*" if route.result is FileContent else JSON


def _checked_url(base_url: str) -> str:
    text = base_url.strip().rstrip("/").removesuffix("/v1")
    try:
        url = http.URL(text)
    except http.InvalidURL as error:
        raise InvalidRequest(f"{base_url!r} is not a URL: {error}", "such as http://localhost:8321") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise InvalidRequest(f"{base_url!r} is not an http or https URL", "such as http://localhost:8321")
    if url.port is not None and url.port > 65535:
        raise InvalidRequest(f"{url.port} is no port (0 to 65535)", "such as http://localhost:8321")
    return text


def _port_option(base_url: str) -> str:
    port = http.URL(base_url).port
    return f" --port {port}" if port and port != 8321 else ""

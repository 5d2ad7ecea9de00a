"""Over HTTP: an id that is almost right, and a cursor that belongs to another list."""

from __future__ import annotations

import pytest
import requests

from stack_core.apis import all_routes
from stack_core.wire.table import openapi_path
from tests.fuzz.pool import Pool
from tests.fuzz.served import Served

pytestmark = pytest.mark.slow

ONE = sorted(
    openapi_path(route.url)
    for route in all_routes()
    if route.verb == "GET" and len(route.path_params) == 1 and route.url.endswith("}")
)
LISTS = sorted(
    openapi_path(route.url)
    for route in all_routes()
    if route.verb == "GET" and route.request is not None and "after" in route.request.model_fields
)


@pytest.mark.parametrize("url", ONE)
def test_an_id_with_a_slip_names_the_one_that_is_meant(url: str, server: Served, pool: Pool) -> None:
    path = pool.put_in(url)
    if path is None:
        pytest.skip("nothing of this kind is there")
    assert requests.get(server.url + path, timeout=20).status_code == 200
    slipped = path[:-1] + ("x" if path[-1] != "x" else "y")
    response = requests.get(server.url + slipped, timeout=20)
    assert response.status_code in (400, 404)
    assert path.rpartition("/")[2] in response.text


@pytest.mark.parametrize("url", LISTS)
def test_a_cursor_of_another_list_is_refused(url: str, server: Served, pool: Pool) -> None:
    path = pool.put_in(url)
    if path is None:
        pytest.skip("nothing of this kind is there")
    other = pool.ids["prompt_id" if "/files" in path else "file_id"][0]
    response = requests.get(f"{server.url}{path}?after={other}", timeout=20)
    if response.status_code == 501:
        pytest.skip("nobody serves it here")
    assert response.status_code in (400, 404), response.text
    assert "after" in response.text

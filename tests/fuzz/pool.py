"""Ids of what is there: calls that name something real get past the first check."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import requests

SAME = {
    "model": "model_id",
    "embedding_model": "model_id",
    "input_file_id": "file_id",
    "file_ids": "file_id",
    "vector_store_ids": "vector_store_id",
    "conversation": "conversation_id",
    "scoring_functions": "scoring_fn_id",
}
"""Fields that name a resource, and the path parameter under which its ids are kept."""

_CHAT = {"model": "chat", "messages": [{"role": "user", "content": "hi"}]}
_ITEM = {"type": "message", "role": "user", "content": "hi"}
_LINE = json.dumps({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": _CHAT})


class Pool:
    """Path parameter → ids, oldest first; and which path parameter the results of a POST go to."""

    def __init__(self, document: dict[str, Any], url: str) -> None:
        self.ids: dict[str, list[str]] = defaultdict(list)
        self._url = url
        self._made: dict[str, str] = {}
        for path in document["paths"]:
            head, _, last = path.rpartition("/")
            if last.startswith("{") and "post" in document["paths"].get(head, {}):
                self._made[head] = key_of(path, last.strip("{}"))

    def note(self, path: str, content: Any) -> None:
        """Remember what a POST to this path of the document made."""
        name = self._made.get(path)
        if name and isinstance(content, dict):
            for key in ("id", "identifier", name):
                if isinstance(found := content.get(key), str) and found:
                    self.ids[name].append(found)
                    return

    def pick(self, name: str, number: int) -> str | None:
        """An id for a parameter or field, of the newest ones."""
        ids = self.ids.get(SAME.get(name, name), [])[-8:]
        return ids[number % len(ids)] if ids else None

    def put_in(self, path: str, number: int = -1) -> str | None:
        """A path of the document with ids; None where nothing of a kind is there."""
        for part in path.split("/"):
            if part.startswith("{"):
                found = self.pick(key_of(path, part.strip("{}")), number)
                if found is None:
                    return None
                path = path.replace(part, found)
        return path

    def fill(self) -> None:
        """Make a few of each kind."""
        for name, content in (("a.txt", b"some text"), ("b.pdf", b"no PDF"), ("in.jsonl", f"{_LINE}\n{{\n".encode())):
            purpose = {"purpose": "batch" if name == "in.jsonl" else "assistants"}
            self._post("/v1/files", files={"file": (name, content)}, data=purpose)
        self._post("/v1/chat/completions", json=_CHAT)
        self._post("/v1/vector_stores", json={"name": "s", "metadata": {"a": "b"}, "embedding_model": "embed"})
        self._post("/v1/vector_stores/{vector_store_id}/files", json={"file_id": self.ids["file_id"][0]})
        some = {"file_ids": self.ids["file_id"][:2]}
        self._post("/v1/vector_stores/{vector_store_id}/file_batches", json=some)
        batch = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
        self._post("/v1/batches", json={**batch, "input_file_id": self.ids["file_id"][2]})
        self._post("/v1/conversations", json={"items": [_ITEM], "metadata": {"a": "b"}})
        made = self._post("/v1/conversations/{conversation_id}/items", json={"items": [_ITEM]})
        self.ids["item_id"] += [item["id"] for item in made["data"]]
        self._post("/v1/prompts", json={"prompt": "Hi {{ name }}", "variables": ["name"]})
        rows = {"type": "rows", "rows": [{"a": 1}, {"a": 2}]}
        self._post("/v1beta/datasets", json={"purpose": "eval/messages-answer", "source": rows})
        benchmark = {"benchmark_id": "bench", "dataset_id": self.ids["dataset_id"][0], "scoring_functions": ["f"]}
        self._post("/v1alpha/eval/benchmarks", json=benchmark)
        self._post("/v1/shields", json={"shield_id": "guard"})
        self._post("/v1/toolgroups", json={"toolgroup_id": "sums", "provider_id": "toy-tools"})
        number = {"scoring_fn_id": "near", "description": "d", "return_type": {"type": "number"}}
        self._post("/v1/scoring-functions", json=number)
        self.ids["model_id"] += ["chat", "embed", "up/tiny", "up/embed"]
        self.ids["provider_id"] += ["up", "localfs", "faiss"]
        self.ids["tool_name"].append("add")
        traces = requests.post(f"{self._url}/v1/telemetry/traces", json={"limit": 3}, timeout=20).json()["data"]
        self.ids["trace_id"] += [trace["trace_id"] for trace in traces]
        self.ids["span_id"] += [trace["root_span_id"] for trace in traces]

    def _post(self, path: str, **content: Any) -> dict[str, Any]:
        response = requests.post(f"{self._url}{self.put_in(path)}", timeout=20, **content)
        assert response.status_code < 300, (path, response.text)
        found: dict[str, Any] = response.json() if response.content else content["json"]
        self.note(path, found)
        return found


def key_of(path: str, parameter: str) -> str:
    """Under what the ids of a path parameter are kept: its name, which only `batch_id` shares with another kind."""
    return "file_batch_id" if f"/file_batches/{{{parameter}}}" in path else parameter

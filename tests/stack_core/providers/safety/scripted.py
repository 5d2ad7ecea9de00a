"""One service that speaks for all that guards ask: whatever holds the word `bomb` is bad.

Chat completions of a Llama Guard, NVIDIA's checks, OpenAI's moderations, and Bedrock's guardrails with their signatures
checked.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.stack_core.providers.inference.service import Asked, Reply

KEY, SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-west-1"
WORD = "bomb"


async def answer(asked: Asked, reply: Reply) -> None:
    """Answer a request by its path."""
    path = unquote(asked.path)
    if path.endswith("/chat/completions"):
        content = json.dumps(asked.json["messages"][-1]["content"])
        text = "unsafe\nS9" if WORD in content.rpartition("BEGIN CONVERSATION")[2] else "safe"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        await reply.json({"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})
    elif path.endswith("/models"):
        names = ("guard-model", "Meta-Llama-Guard-3-8B")
        await reply.json({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})
    elif path.endswith("/guardrail/checks"):
        bad = any(WORD in message["content"] for message in asked.json["messages"])
        rails = {"self check input": {"status": "blocked" if bad else "success"}, "other": {"status": "success"}}
        await reply.json({"status": "blocked" if bad else "success", "rails_status": rails})
    elif path.endswith("/moderations"):
        await reply.json({"id": "modr-1", "model": asked.json["model"], "results": _moderated(asked.json["input"])})
    elif path.startswith("/guardrail"):
        await _guardrail(asked, path, reply)
    else:
        await reply.json({"error": {"message": f"no route {path}"}}, 404)


def _moderated(given: Any) -> list[dict[str, Any]]:
    single = not isinstance(given, list) or isinstance(given[0], dict)
    return [
        {
            "flagged": WORD in json.dumps(one),
            "categories": {"violence": WORD in json.dumps(one), "hate": False},
            "category_scores": {"violence": 0.75 if WORD in json.dumps(one) else 0.01, "hate": 0.0},
            "category_applied_input_types": {"violence": ["text"]},
        }
        for one in ([given] if single else given)
    ]


async def _guardrail(asked: Asked, path: str, reply: Reply) -> None:
    if not signed(asked):
        await reply.json({"message": "The request signature we calculated does not match"}, 403,
                         **{"x-amzn-errortype": "InvalidSignatureException"})  # fmt: skip
    elif path == "/guardrails":
        rows = [{"id": "gr-1", "arn": "a", "status": "READY", "name": "n", "version": version,
                 "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z"}
                for version in ("DRAFT", "1")]  # fmt: skip
        await reply.json({"guardrails": rows})
    elif not path.startswith("/guardrail/gr-1/"):
        await reply.json({"message": "The guardrail does not exist"}, 404,
                         **{"x-amzn-errortype": "ResourceNotFoundException"})  # fmt: skip
    else:
        await reply.json(_assessed(asked.json))


def _assessed(body: dict[str, Any]) -> dict[str, Any]:
    if WORD not in json.dumps(body["content"]):
        return {"usage": {}, "action": "NONE", "outputs": [], "assessments": []}
    topics = {"topics": [{"name": "weapons", "type": "DENY", "action": "BLOCKED"}]}
    words = {"piiEntities": [{"type": "NAME", "match": "a secret", "action": "ANONYMIZED"}], "regexes": []}
    return {
        "usage": {},
        "action": "GUARDRAIL_INTERVENED",
        "outputs": [{"text": "Not about that."}],
        "assessments": [{"topicPolicy": topics, "sensitiveInformationPolicy": words}],
    }


def signed(asked: Asked) -> bool:
    """Whether the signature (SigV4) is the one that our secret gives."""
    fields = dict(
        part.strip().split("=", 1) for part in asked.headers["authorization"].partition(" ")[2].split(",")
    )  # fmt: skip
    key, _, region, service, _ = fields["Credential"].split("/")
    headers = {name: asked.headers[name] for name in fields["SignedHeaders"].split(";")}
    request = AWSRequest(
        asked.method, f"http://{asked.headers['host']}{asked.target}", data=asked.body, headers=headers
    )
    request.context["timestamp"] = asked.headers["x-amz-date"]
    auth = SigV4Auth(Credentials(key, SECRET), service, region)
    expected = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    return (key, region, service, expected) == (KEY, REGION, "bedrock", fields["Signature"])

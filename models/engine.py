"""A GGUF file behind llama.cpp in a child process, for the checks in this folder.

The child speaks one JSON object a line, each way. It is a process of its own because loading holds the
interpreter's lock and a bad input can end the process. The product has its own child in `stack_core`; these
checks do without it, so that they judge the file alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

Body = dict[str, Any]

BUNDLED = Path(__file__).parent.parent / "stack_core/bundled/tutorial.gguf"


class EngineFailed(RuntimeError):
    """The child answered with an error or went away."""


class Engine:
    """`with Engine(path) as engine: engine.chat({...})`; greedy unless the body says otherwise."""

    def __init__(self, model: Path, *, context: int = 2048) -> None:
        command = [sys.executable, "-m", "models.engine", str(model.resolve()), str(context)]
        self._child = subprocess.Popen(
            command,
            cwd=Path(__file__).parent.parent,
            text=True,
            encoding="utf-8",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child.stdin:
            self._child.stdin.close()
        self._child.wait(timeout=30)
        if self._child.stdout:
            self._child.stdout.close()

    def _ask(self, method: str, body: Body) -> Any:
        if not self._child.stdin or not self._child.stdout:
            raise EngineFailed("the engine was started without pipes")
        self._child.stdin.write(json.dumps({"method": method, "body": body}) + "\n")
        self._child.stdin.flush()
        for line in self._child.stdout:
            if line.startswith("{"):  # llama.cpp may print lines of its own
                answer = json.loads(line)
                if "error" in answer:
                    raise EngineFailed(str(answer["error"]))
                return answer["result"]
        raise EngineFailed(f"the engine ended with {self._child.wait(timeout=30)}")

    def chat(self, body: Body) -> Body:
        """An OpenAI chat completion, whole."""
        answer: Body = self._ask("chat", {"temperature": 0, "max_tokens": 128, **body})
        return answer

    def message(self, body: Body) -> Body:
        """The first choice's message of `chat`."""
        message: Body = self.chat(body)["choices"][0]["message"]
        return message

    def post(self, path: str, body: Body) -> Body:
        """llama.cpp's own routes, such as `/tokenize` and `/completion`."""
        answer: Body = self._ask("post", {"path": path, "body": body})
        return answer


def _serve(model: str, context: int) -> None:
    """The child's loop."""
    import xllamacpp  # type: ignore[import-untyped]  # the package ships no types

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx, params.n_parallel, params.verbosity, params.cache_ram_mib = context, 1, 0, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.ui = False
    server = xllamacpp.Server(params)
    server.handle_completions({"prompt": "a", "max_tokens": 1})  # ending a server that never ran one deadlocks

    def post(path: str, body: Body) -> Any:
        request = urllib.request.Request(
            server.listening_address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    for line in sys.stdin:
        asked = json.loads(line)
        try:
            if asked["method"] == "chat":
                result = server.handle_chat_completions(asked["body"])
            else:
                result = post(**asked["body"])
            answer = {"result": result}
        except Exception as error:  # noqa: BLE001  # the parent gets whatever went wrong
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    sys.stdout.flush()
    os._exit(0)  # the interpreter's own exit can abort inside the engine


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))

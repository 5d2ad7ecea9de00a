"""An inference provider whose answers come when the test says so."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from stack_core.apis.inference import AnswerMessage, ChatCompletion, ChatCompletionRequest, Choice, Inference
from stack_core.providers import provider


@provider("inline::slow")
class Slow(Inference):
    """Waits for `step` before each answer, or never once it is `open`."""

    class Config(BaseModel):
        """Nothing to set."""

    def __init__(self, config: Config) -> None:
        self._gate = asyncio.Semaphore(0)
        self.calls = self.finished = self.running = self.most = self._let = 0
        self._open = False

    def step(self) -> None:
        """Let one answer through, where one waits and the one before is finished: steps do not pile up."""
        if self.running and self._let == self.finished:
            self._let += 1
            self._gate.release()

    def open(self) -> None:
        """Let all answers through."""
        self._open = True
        for _ in range(100):
            self._gate.release()

    async def chat_completion(self, request: ChatCompletionRequest) -> ChatCompletion:
        """One answer, when its time has come."""
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if not self._open:
                await self._gate.acquire()
        finally:
            self.running -= 1
        self.finished += 1
        choice = Choice(message=AnswerMessage(content="done"), finish_reason="stop")
        return ChatCompletion(id="x", created=0, model=request.model, choices=[choice])

"""A provider in 20 lines: it answers with the question, louder."""

from pydantic import BaseModel

from stack_core.apis.inference import AnswerMessage, ChatCompletion, ChatCompletionRequest, Choice, Inference
from stack_core.providers import provider


@provider("inline::shout")
class Shout(Inference):
    """Answers with the question in capital letters."""

    class Config(BaseModel):
        """How loud."""

        mark: str = "!"

    def __init__(self, config: Config) -> None:
        self._mark = config.mark

    async def chat_completion(self, request: ChatCompletionRequest) -> ChatCompletion:
        """One answer."""
        text = str(request.messages[-1].content).upper() + self._mark
        choice = Choice(index=0, message=AnswerMessage(content=text), finish_reason="stop")
        return ChatCompletion(id="shout-1", created=0, model=request.model, choices=[choice])

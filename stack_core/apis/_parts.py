"""The content of items: text, images, files and what a model says, with its sources and probabilities.

Shapes: OpenAI 2.3.0 (Responses and Conversations).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stack_core.apis._by_type import ByType, Maybe
from stack_core.apis._shapes import Open

Detail = Literal["low", "high", "auto", "original"]


class InputText(Open):
    """A text that is given to the model."""

    type: Literal["input_text"] = "input_text"
    text: str


class InputImage(Open):
    """An image that is given to the model: by URL (http or `data:`) or by the id of a file."""

    type: Literal["input_image"] = "input_image"
    image_url: Maybe[str] = None
    file_id: Maybe[str] = None
    detail: Maybe[Detail] = None


class InputFile(Open):
    """A file that is given to the model: by id, by URL, or its content in base64."""

    type: Literal["input_file"] = "input_file"
    file_id: Maybe[str] = None
    filename: Maybe[str] = None
    file_data: Maybe[str] = None
    file_url: Maybe[str] = None
    detail: Maybe[Detail] = None


class FileCitation(Open):
    """A file that a text rests on; `index` is the place in the text, in characters, where it is cited."""

    type: Literal["file_citation"] = "file_citation"
    file_id: str
    index: int
    filename: Maybe[str] = None


class UrlCitation(Open):
    """A page that the characters from `start_index` to `end_index` rest on."""

    type: Literal["url_citation"] = "url_citation"
    url: str
    start_index: int
    end_index: int
    title: str = ""


class ContainerFileCitation(Open):
    """A file in a container that the characters from `start_index` to `end_index` rest on."""

    type: Literal["container_file_citation"] = "container_file_citation"
    container_id: str
    file_id: str
    start_index: int
    end_index: int
    filename: Maybe[str] = None


class FilePath(Open):
    """A file that the model made."""

    type: Literal["file_path"] = "file_path"
    file_id: str
    index: int


class OtherAnnotation(Open):
    """An annotation of a type that is not known here."""

    type: str


Annotation = Annotated[
    FileCitation | UrlCitation | ContainerFileCitation | FilePath | OtherAnnotation,
    ByType("annotation", otherwise=OtherAnnotation),
]


class TopTextLogprob(Open):
    """A token that might have stood there, with its log-probability (natural logarithm)."""

    token: Maybe[str] = None
    logprob: Maybe[float] = None
    bytes: Maybe[list[int]] = None


class TextLogprob(Open):
    """A token of a text with its log-probability and its alternatives."""

    token: str
    logprob: float
    bytes: Maybe[list[int]] = None
    top_logprobs: Maybe[list[TopTextLogprob]] = None


class OutputText(Open):
    """A text that the model wrote."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Annotation] = []
    logprobs: Maybe[list[TextLogprob]] = None


class Refusal(Open):
    """What the model said in place of an answer."""

    type: Literal["refusal"] = "refusal"
    refusal: str


class PlainText(Open):
    """A text of no special kind."""

    type: Literal["text"] = "text"
    text: str


class SummaryText(Open):
    """A piece of the summary of what the model thought."""

    type: Literal["summary_text"] = "summary_text"
    text: str


class ReasoningText(Open):
    """A piece of what the model thought."""

    type: Literal["reasoning_text"] = "reasoning_text"
    text: str


class ComputerScreenshot(Open):
    """A picture of the screen that the model works on."""

    type: Literal["computer_screenshot"] = "computer_screenshot"
    image_url: Maybe[str] = None
    file_id: Maybe[str] = None
    detail: Maybe[Detail] = None


class OtherPart(Open):
    """Content of a type that is not known here, as a later service may give it."""

    type: str


InputPart = Annotated[InputText | InputImage | InputFile, ByType("content part")]
"""What a caller gives: also the content of a tool's result."""

MessagePart = Annotated[
    InputText
    | InputImage
    | InputFile
    | OutputText
    | Refusal
    | PlainText
    | SummaryText
    | ReasoningText
    | ComputerScreenshot,
    ByType("content part"),
]
"""Any content of a message of any role."""

OutputPart = Annotated[OutputText | Refusal | OtherPart, ByType("content part", otherwise=OtherPart)]
"""What a model's message is made of."""

StreamedPart = Annotated[
    OutputText | Refusal | ReasoningText | SummaryText | OtherPart, ByType("content part", otherwise=OtherPart)
]
"""What a streamed item grows by."""

Variables = dict[str, str | Annotated[InputText | InputImage | InputFile, Field(discriminator="type")]]
"""What a prompt's variables stand for."""

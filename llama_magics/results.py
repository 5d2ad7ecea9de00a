"""What a verb gives back: plain objects that a notebook can keep, compute with and show.

Every result knows its text or its frame, its usage, cost and trace, and how to display itself; what it looks like is
the business of `render/`, which is imported at the first display.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

JSON = dict[str, Any]


@dataclass(frozen=True)
class Usage:
    """Tokens of one call or of several together."""

    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)


class Shown:
    """A result that displays itself as one MIME bundle (see `render/__init__.py`)."""

    kind: ClassVar[str]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Every result has these: what a kind has no field for is None or empty, and its text the plain form."""
            if name in ("usage", "cost", "trace"):
                return None
            if name == "code":
                return ""
            if name == "text":
                return repr(self)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def to_dict(self) -> JSON:
        """The result as plain data, JSON-ready."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]  # every subclass is a dataclass

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from llama_magics.render import bundle

        return bundle(self)

    def __repr__(self) -> str:
        from llama_magics.render import plain

        return plain(self)


@dataclass(repr=False)
class ToolStep:
    """A tool call that a model asked for: its name and its arguments as JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(repr=False)
class Answer(Shown):
    """One model's answer. `state` is done, cancelled (the cell was interrupted; `text` is what had come), or failed."""

    kind: ClassVar[str] = "answer"
    text: str
    model: str
    usage: Usage | None = None
    cost: float | None = None
    """US dollars, where the price of the model is known."""
    seconds: float = 0.0
    first_token_seconds: float | None = None
    trace: str | None = None
    """Trace id; `%stack trace ID` shows its spans."""
    finish_reason: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolStep] = field(default_factory=list)
    state: str = "done"
    error: ErrorNote | None = None
    tutorial: bool = False
    """Answered by the bundled tutorial model, which the footer says."""
    value: Any = None
    """With `--schema`: the parsed answer (a dict, or an instance of the given Pydantic class)."""
    code: str = ""
    chat: str | None = None
    alias: str | None = None
    """The name that was asked for, where it is not the model's id."""
    bound: str | None = None
    """The variable that `-o` binds the result to."""


@dataclass(repr=False)
class Comparison(Shown):
    """The same question to several models, side by side."""

    kind: ClassVar[str] = "comparison"
    answers: list[Answer]
    code: str = ""
    bound: str | None = None
    """The variable that `-o` binds the result to."""

    @property
    def text(self) -> str:
        """All answers, each under its model's name."""
        return "\n\n".join(f"{a.model}:\n{a.text}" for a in self.answers)

    @property
    def usage(self) -> Usage:
        """Tokens of all answers together."""
        return sum((a.usage or Usage() for a in self.answers), Usage())

    @property
    def cost(self) -> float | None:
        """Dollars of those answers whose price is known; None when none is."""
        known = [a.cost for a in self.answers if a.cost is not None]
        return sum(known) if known else None

    @property
    def trace(self) -> list[str]:
        """Trace ids, one an answer."""
        return [a.trace for a in self.answers if a.trace]

    def __getitem__(self, model: str) -> Answer:
        return next(a for a in self.answers if a.model == model)


@dataclass(repr=False)
class ProviderLine:
    """One provider in a card. `status` is OK, Error, Unavailable or Off (its key is not set)."""

    api: str
    provider_id: str
    provider_type: str
    status: str
    message: str | None = None
    fix: str | None = None
    """A command or a line that mends it."""


@dataclass(repr=False)
class Declared(Shown):
    """A stack that a cell declared. `changes` are lines such as `+ inference openai`, empty when nothing changed."""

    kind: ClassVar[str] = "declared"
    name: str
    providers: list[ProviderLine]
    models: list[tuple[str, str]]
    """alias → model id"""
    default: str | None
    changes: list[str]
    unchanged: bool = False
    seconds: float = 0.0
    location: str | None = None
    """Where it runs when it is not in this kernel: a URL."""
    code: str = ""
    next_steps: list[tuple[str, str]] = field(default_factory=list)
    """(command, what it does)"""
    answers: bool = True
    """Whether the provider of the default model works."""


@dataclass(repr=False)
class Status(Shown):
    """The card of `%stack`: what is open, what answers, what to do next."""

    kind: ClassVar[str] = "status"
    stack: str | None
    providers: list[ProviderLine] = field(default_factory=list)
    default: str | None = None
    models: int = 0
    chats: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    cost: float | None = None
    calls: int = 0
    next_steps: list[tuple[str, str]] = field(default_factory=list)
    """(command, what it does)"""
    tutorial: bool = False
    code: str = ""


@dataclass(repr=False)
class Listing(Shown):
    """A table: of models, providers, APIs, chats, or the result of `call` when that is a list."""

    kind: ClassVar[str] = "listing"
    title: str
    columns: list[str]
    rows: list[list[Any]]
    say: str = ""
    """One sentence that says in words what the table shows."""
    next_steps: list[tuple[str, str]] = field(default_factory=list)
    code: str = ""
    bound: str | None = None
    """The variable that `-o` binds the result to."""

    @property
    def df(self) -> Any:
        """The table as a pandas DataFrame (pandas must be installed)."""
        import pandas  # type: ignore[import-untyped,unused-ignore]  # no stubs are needed for one constructor

        return pandas.DataFrame(self.rows, columns=self.columns)


@dataclass(repr=False)
class Value(Shown):
    """The result of `call`: any object, shown as JSON in a scrolling box."""

    kind: ClassVar[str] = "value"
    title: str
    value: Any
    seconds: float = 0.0
    trace: str | None = None
    code: str = ""
    bound: str | None = None
    """The variable that `-o` binds the result to."""

    def to_dict(self) -> JSON:
        """The value as plain data."""
        plain = self.value.model_dump(mode="json") if hasattr(self.value, "model_dump") else self.value
        return {"title": self.title, "value": plain, "seconds": self.seconds, "trace": self.trace}


@dataclass(repr=False)
class Code(Shown):
    """Python that does what a cell did."""

    kind: ClassVar[str] = "code"
    source: str

    @property
    def text(self) -> str:
        """The source."""
        return self.source


@dataclass(repr=False)
class Help(Shown):
    """A help page: Markdown that ends in a cell to run."""

    kind: ClassVar[str] = "help"
    title: str
    markdown: str
    example: str = ""


@dataclass(repr=False)
class Check:
    """One line of `doctor`: `status` is ok, warn or bad."""

    name: str
    status: str
    message: str
    fix: str | None = None


@dataclass(repr=False)
class Report(Shown):
    """What `doctor` found."""

    kind: ClassVar[str] = "report"
    checks: list[Check]
    code: str = ""
    title: str = "doctor"
    say: str = ""
    """The verdict in words, where counting the checks would say less."""


@dataclass(repr=False)
class ErrorNote(Shown):
    """An error as a cell shows it: type, cause, place, remedy and what is still intact."""

    kind: ClassVar[str] = "error"
    type: str
    message: str
    hint: str | None = None
    where: str | None = None
    intact: str | None = None

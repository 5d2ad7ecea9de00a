"""Result objects as a session makes them, one or more of every kind and state."""

from __future__ import annotations

from llama_magics.results import (
    Answer,
    Check,
    Code,
    Comparison,
    Declared,
    ErrorNote,
    Help,
    Listing,
    ProviderLine,
    Report,
    Shown,
    Status,
    ToolStep,
    Usage,
    Value,
)

FRAME = """The frame describes **342 penguins** by four measurements.

## What stands out

- **Body mass** varies most: 4,202 g on average, so $\\sigma_m / \\bar{m} \\approx 0.19$.
- **Flippers** are far more regular, 200.9 ± 14.1 mm. Check `species` before you fit a line.

| measure | mean | sd |
| --- | ---: | ---: |
| body mass (g) | 4,202 | 802 |
| flipper (mm) | 200.9 | 14.1 |

> A hint that several species are mixed.

```python
import seaborn as sns

sns.relplot(df, x="flipper_length_mm", y="body_mass_g", hue="species", col="sex", height=3.2, aspect=1.4)
```

See [the data](https://allisonhorst.github.io/palmerpenguins/)."""

NEXT = [('%stack ask "hi"', "a first answer from fast"), ("%stack help docs", "make a folder searchable")]

PROVIDERS = [
    ProviderLine("inference", "ollama", "remote::ollama", "OK", "3 models"),
    ProviderLine("inference", "openai", "remote::openai", "Off", "OPENAI_API_KEY is not set", "%stack key openai"),
    ProviderLine("vector_io", "faiss", "inline::faiss", "OK", None),
    ProviderLine(
        "safety",
        "llama-guard",
        "inline::llama-guard",
        "Error",
        "ollama has no model llama-guard3:1b",
        "%stack pull llama-guard3:1b",
    ),
    ProviderLine(
        "agents", "meta-reference", "inline::meta-reference", "Unavailable", "this version has no such provider"
    ),
]

REMOTE = [
    ProviderLine(
        "inference", name, f"remote::{name}", "Off", f"{name.upper()}_API_KEY is not set", f"%stack key {name}"
    )
    for name in ("anthropic", "cerebras", "gemini", "groq", "mistral", "openai", "sambanova", "together")
]


def answer(**changes: object) -> Answer:
    """An ordinary answer with some fields changed."""
    fields: dict[str, object] = {
        "text": FRAME,
        "model": "ollama/llama3.2:3b",
        "alias": "fast",
        "usage": Usage(412, 196),
        "cost": 0.0,
        "seconds": 2.9,
        "first_token_seconds": 0.31,
        "trace": "8c41d0aa",
        "finish_reason": "stop",
    }
    return Answer(**{**fields, **changes})  # type: ignore[arg-type]  # the fields of Answer


def comparison() -> Comparison:
    """Two models, one dearer and slower."""
    short = "The absolute value `f(x) = |x|` is continuous everywhere, and has no derivative at 0."
    long = (
        "The **Weierstrass function** $W(x) = \\sum a^n \\cos(b^n \\pi x)$ is continuous, because the series converges "
        "uniformly, and yet differentiable at no point at all."
    )
    return Comparison(
        [
            answer(text=short, usage=Usage(58, 44), seconds=0.9),
            answer(text=long, alias="smart", model="openai/gpt-4o", usage=Usage(58, 117), seconds=2.1, cost=0.0013),
        ]
    )


def rate_limited() -> ErrorNote:
    """An error of a service."""
    return ErrorNote(
        "RateLimited", "openai answered 429 three times; it asks to wait 20 s.", "Ask `fast`, which is ready."
    )


def template_error() -> ErrorNote:
    """An error that the reader mends, with its place."""
    return ErrorNote(
        "InvalidRequest",
        "no name `questoin` in this notebook.",
        "Did you mean `question`?",
        "1 │ Translate into French: {{ questoin }}\n  │                           ^^^^^^^^",
        "Nothing was sent.",
    )


def declared(**changes: object) -> Declared:
    """A stack with every health."""
    fields: dict[str, object] = {
        "name": "lab",
        "providers": PROVIDERS,
        "models": [("fast", "ollama/llama3.2:3b"), ("smart", "openai/gpt-4o")],
        "default": "fast",
        "changes": ["+ inference openai, alias smart", "~ budget $0.50 → $1.00", "- vector_io chroma"],
        "seconds": 0.41,
        "next_steps": NEXT,
    }
    return Declared(**{**fields, **changes})  # type: ignore[arg-type]  # the fields of Declared


def status() -> Status:
    """A card after some work."""
    return Status(
        "lab",
        PROVIDERS[:1] + PROVIDERS[3:4] + REMOTE,
        "fast",
        3,
        ["trip", "essay"],
        Usage(100_140, 20_310),
        0.3163,
        1155,
        NEXT,
    )


def everything() -> dict[str, Shown]:
    """Name → a result, for tests that hold for all of them."""
    tool = ToolStep("1", "calculator", '{"expression": "17 * 23"}')
    return {
        "answer": answer(),
        "answer_reasoning": answer(text="It is 4.", reasoning="2 and 2.\nSo 4.", chat="sums"),
        "answer_tool": answer(text="", tool_calls=[tool], finish_reason="tool_calls"),
        "answer_cancelled": answer(
            text="The idea is older than its name. What made it", state="cancelled", bound="essay"
        ),
        "answer_failed": answer(text="Half an", state="failed", error=rate_limited(), usage=None, cost=None),
        "answer_tutorial": answer(text="17 * 23 is **391**.", alias=None, model="tutorial", tutorial=True),
        "answer_typed": answer(
            text='{"title": "Dune"}', value={"title": "Dune", "year": 1965, "tags": ["sand", "<b>"]}
        ),
        "answer_length": answer(text="And so on and", finish_reason="length"),
        "comparison": comparison(),
        "declared": declared(),
        "declared_unchanged": declared(unchanged=True, changes=[]),
        "declared_starter": declared(providers=PROVIDERS[:1] + REMOTE, changes=[], location="http://localhost:8321"),
        "status": status(),
        "status_none": Status(
            None,
            tutorial=True,
            next_steps=[('%stack ask "hi"', "a first answer, at once"), ("%stack help", "the verbs on one page")],
        ),
        "listing": Listing(
            "models",
            ["model", "provider", "kind", "context"],
            [["ollama/llama3.2:3b", "ollama", "llm", 131072], ["all-MiniLM-L6-v2", "minilm", "embedding", None]],
            "2 models; fast answers.",
            [("%stack pull llama3.2:1b", "get another")],
        ),
        "listing_empty": Listing(
            "chats", ["chat", "turns"], [], "No chat yet.", [("%stack ask -c trip hi", "begin one")]
        ),
        "value": Value("models.list", {"data": [{"id": "fast", "owner": None}]}, 0.012, "77aa"),
        "code": Code('from llama_magics import stack\n\nanswer = stack.ask("hi", "smart")\n'),
        "help": Help(
            "ask",
            "`%%stack ask [TARGET]` asks a model.\n\n## Options\n\n- `-m` the model\n- `-s` a system text",
            "%%stack ask\nHello",
        ),
        "report": Report(
            [
                Check("python", "ok", "3.11.9"),
                Check("ollama", "bad", "nothing answers at localhost:11434.", "ollama serve"),
                Check("disk", "warn", "1.2 GB free.", "Remove models with `%stack pull --remove`."),
            ]
        ),
        "error": template_error(),
    }

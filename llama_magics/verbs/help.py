"""`help`: the verbs on one page, one verb in full, or how to get a model. Each page ends in a cell to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_magics.options import ALWAYS, OPTIONS
from llama_magics.results import Help
from llama_magics.verbs import DECLARE, LATER, STATUS, VERBS, Verb
from stack_core.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from llama_magics.cell import Cell

MODELS = """\
1. **Ollama**: install it from ollama.com, then `%stack pull ollama/llama3.2:3b` and `providers: {inference: ollama}`.
2. **A GGUF file**: `providers: {inference: {llama-cpp: {model_path: ./model.gguf}}}` runs it in this kernel.
3. **A key**: `%stack key openai`, then `providers: {inference: "openai?"}` and `models: {smart: openai/gpt-4o}`.
"""
_MODELS_EXAMPLE = """\
%%stack
name: lab
providers:
  inference: [llama-cpp, "openai?", "ollama?"]
"""
EXAMPLES: dict[str, str] = {
    "ask": '%stack ask "hi"',
    "use": "%stack use notebook",
    "show": "%stack show models",
    "call": "%stack call models.list_models",
    "key": "%stack key",
    "pull": "%stack pull minilm",
    "code": '%stack ask "hi"\n%stack code',
    "doctor": "%stack doctor",
    "trace": "%stack trace",
    "help": "%stack help ask",
    "status": "%stack",
    "declare": "%%stack\nname: lab\nproviders:\n  inference: llama-cpp\n",
}
MORE: dict[str, str] = {
    "ask": """\
On a line the question is the quoted text; in a cell it is the body. TARGET is an alias or a model id.
`{{ expr }}` puts a value of the notebook into the text; nothing else is special in it.
`-c trip` remembers the conversation; `--schema "title, year int, tags list[str]"` gives a typed `.value`;
`-a photo.png` attaches an image or a text file. Interrupting the kernel keeps what had come.
""",
    "declare": """\
The body is a Llama Stack run file, or its short form: `name`, `providers` (API to one name or a list; `"openai?"` only
if its key is set), `models` (alias to provider/model), `default`, `budget`. Running it again replaces the stack.
""",
    "use": "A name of an open stack or a distribution, a run file, or a server's URL. Without one: what there is.",
    "show": "Showing never asks a model. A name alone is looked for among models, providers, chats and stacks.",
    "call": "Values are YAML. A value that is one `{{ expr }}` passes the object. Without a method: all methods.",
    "key": "NAME is a provider (`openai`) or a variable (`OPENAI_API_KEY`). `--reset` forgets it.",
    "pull": "`minilm` fetches the embedding model's weights; `ollama/NAME` asks a running Ollama to fetch a model.",
    "code": "A number is a cell's; `-2` counts back from the last. `--insert` puts the code into a new cell.",
}


def run(cell: Cell) -> Help:
    """Show the page that the word names."""
    words = cell.words()
    return page(words[0] if words else None)


def page(topic: str | None = None) -> Help:
    """A help page: of a verb, of `models`, or of all.

    Raises:
        NotFound: no such page; names the nearest.
    """
    if topic is None:
        return _all()
    if topic == "models":
        return Help("models", MODELS, _MODELS_EXAMPLE)
    if topic in LATER:
        raise InvalidRequest(f"the verb {topic!r} is not in this version", f"verbs: {', '.join(VERBS)}")
    verb = {**VERBS, "declare": DECLARE, "status": STATUS}.get(topic)
    if verb is None:
        raise NotFound("help page", topic, [*VERBS, "models", "declare", "status"])
    return Help(topic, _markdown(verb, topic), EXAMPLES[topic])


def _all() -> Help:
    verbs = (DECLARE, STATUS, *VERBS.values())
    rows = "\n".join(f"| `{_cell(verb.usage)}` | {verb.help} |" for verb in verbs)
    table = f"| write | to |\n| --- | --- |\n{rows}"
    return Help(
        "%stack", f"{table}\n\nEvery verb takes {_options(ALWAYS)}. A `;` at the end shows nothing.", EXAMPLES["ask"]
    )


def _cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return text.replace("|", "\\|")


def _markdown(verb: Verb, topic: str) -> str:
    body = f"\n\nAs a cell, `%%stack {verb.name}`".rstrip() + f": the body is {verb.body}." if verb.body else ""
    own = "".join(f"\n- {_option(name)}: {OPTIONS[name].help or 'a switch'}" for name in (*verb.options, *ALWAYS))
    return f"`{verb.usage}`\n\n{verb.help}.{body}\n\n{MORE.get(topic, '')}\nOptions:\n{own}\n"


def _options(names: tuple[str, ...]) -> str:
    return ", ".join(_option(name) for name in names)


def _option(name: str) -> str:
    option = OPTIONS[name]
    value = "" if option.switch else f" {name.upper()}"
    return f"`-{option.short}`/`--{name}{value}`" if option.short else f"`--{name}{value}`"

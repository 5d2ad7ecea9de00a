"""What the four generations of Llama Guard are asked, and how their answers are read.

Each generation numbers its categories anew: S5 is advice for the second and defamation for the third. The third's
prompt is the one that Llama Stack sends; those of the others follow the chat templates of the models. The first
generation's categories stand by their names alone, without the long descriptions of its template.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from stack_core.apis._chat_messages import Message
from stack_core.errors import InvalidRequest, nearest
from stack_core.providers.safety._texts import text_of

Version = Literal[1, 2, 3, 4]

_FIRST = ("Violence and Hate", "Sexual Content", "Criminal Planning", "Guns and Illegal Weapons",
          "Regulated or Controlled Substances", "Self-Harm")  # fmt: skip
_SECOND = ("Violent Crimes", "Non-Violent Crimes", "Sex Crimes", "Child Exploitation", "Specialized Advice", "Privacy",
           "Intellectual Property", "Indiscriminate Weapons", "Hate", "Self-Harm", "Sexual Content")  # fmt: skip
_THIRD = ("Violent Crimes", "Non-Violent Crimes", "Sex Crimes", "Child Exploitation", "Defamation",
          "Specialized Advice", "Privacy", "Intellectual Property", "Indiscriminate Weapons", "Hate", "Self-Harm",
          "Sexual Content", "Elections")  # fmt: skip
_ABUSE = "Code Interpreter Abuse"


def _numbered(letter: str, names: Sequence[str]) -> dict[str, str]:
    return {f"{letter}{number}": name for number, name in enumerate(names, 1)}


class Generation(NamedTuple):
    """One generation: its categories by code, what it calls the one who answers, and its prompt's own words."""

    categories: Mapping[str, str]
    assistant: str
    images: bool
    according: str = "according our"
    last: str = "ONLY THE LAST {role} message"
    bullet: str = " - "
    frame: str = "{}"
    other_roles: bool = False


_V3 = Generation(_numbered("S", [*_THIRD, _ABUSE]), "Assistant", images=False, other_roles=True)
_GENERATIONS: Mapping[int, Generation] = {
    1: Generation(_numbered("O", _FIRST), "Agent", images=False, last="{role}", bullet="- ", frame="[INST] {} [/INST]"),
    2: Generation(_numbered("S", _SECOND), "Agent", images=False, frame="[INST] {} [/INST]"),
    3: _V3,
    4: Generation(_numbered("S", [*_THIRD, _ABUSE]), "Agent", images=True, according="according to our"),
}
_VISION = _V3._replace(categories=_numbered("S", _THIRD), images=True, assistant="Agent", other_roles=False)
_OWN_MARKS = re.compile(r"<(\|[^|<>]{1,40}\||(?:BEGIN|END) (?:CONVERSATION|UNSAFE CONTENT CATEGORIES))>")
_INST = re.compile(r"\[(/?INST)\]")
_CODE = re.compile(r"[A-Za-z]\d{1,3}")

OPENAI: Mapping[str, tuple[str, ...]] = {
    "violence": ("Violent Crimes", "Violence and Hate"),
    "violence/graphic": ("Violent Crimes",),
    "harassment": ("Child Exploitation", "Defamation"),
    "harassment/threatening": ("Violent Crimes", "Child Exploitation"),
    "hate": ("Hate", "Violence and Hate"),
    "hate/threatening": ("Hate", "Violent Crimes"),
    "illicit": ("Non-Violent Crimes", "Criminal Planning", "Regulated or Controlled Substances", _ABUSE),
    "illicit/violent": ("Violent Crimes", "Indiscriminate Weapons", "Guns and Illegal Weapons"),
    "sexual": ("Sex Crimes", "Sexual Content"),
    "sexual/minors": ("Child Exploitation",),
    "self-harm": ("Self-Harm",),
    "self-harm/intent": ("Self-Harm",),
    "self-harm/instructions": ("Self-Harm",),
}
"""OpenAI's category → the categories of Llama Guard that stand for it (as Llama Stack 0.3.5 maps them, and those of the
first generation beside). What has no counterpart (advice, privacy, elections, …) goes by its own name."""


def generation_of(model: str, version: Version | None = None) -> Generation:
    """The generation of a model, read from its name where no version is given: `llama-guard3:1b`, `Llama-Guard-4-12B`,
    `LlamaGuard-7b`. A name that says nothing means the third, as in Llama Stack."""
    name = model.lower().replace("_", "-")
    if version is None:
        stated = re.search(r"guard-?([1-4])(?![0-9b.])", name)
        version = 1 if "llamaguard-7b" in name or "llama-guard-7b" in name else None
        version = version or (int(stated[1]) if stated else 3)  # type: ignore[assignment]  # one digit of 1 to 4
    return _VISION if version == 3 and "vision" in name else _GENERATIONS[version or 3]


def codes_of(named: Iterable[str], generation: Generation) -> set[str]:
    """Codes of categories that are given by code or by name.

    Raises:
        InvalidRequest: this generation has no such category; names the nearest.
    """
    by_name = {name.lower(): code for code, name in generation.categories.items()}
    found = set()
    for name in named:
        code = by_name.get(name.lower().rstrip("."), name.upper())
        if code not in generation.categories:
            known = [*generation.categories, *generation.categories.values()]
            close = nearest(name, known)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there is {', '.join(known)}"
            raise InvalidRequest(f"Llama Guard has no category {name!r}", hint)
        found.add(code)
    return found


def question(generation: Generation, messages: Sequence[Message], excluded: set[str]) -> str:
    """The prompt: categories, conversation, and that the last message is to be judged."""
    categories = "\n".join(f"{code}: {name}." for code, name in generation.categories.items() if code not in excluded)
    last = len(messages) - 1
    said = "\n\n".join(
        f"{_role(generation, message)}: {_defused(text_of(message, calls=index == last))}"
        for index, message in enumerate(messages)
    )
    role = _role(generation, messages[-1])
    return generation.frame.format(
        f"Task: Check if there is unsafe content in '{role}' messages in conversations {generation.according} safety "
        "policy with the below categories.\n\n"
        f"<BEGIN UNSAFE CONTENT CATEGORIES>\n{categories}\n<END UNSAFE CONTENT CATEGORIES>\n\n"
        f"<BEGIN CONVERSATION>\n\n{said}\n\n<END CONVERSATION>\n\n"
        f"Provide your safety assessment for {generation.last.format(role=role)} in the above conversation:\n"
        f"{generation.bullet}First line must read 'safe' or 'unsafe'.\n"
        f"{generation.bullet}If unsafe, a second line must include a comma-separated list of violated categories."
    )


def read(answer: str) -> list[str] | None:
    """The codes of an answer: [] where it says unsafe and no more, None where it says safe.

    Raises:
        ValueError: it says neither.
    """
    lines = [line.strip() for line in answer.strip().splitlines() if line.strip()]
    word = lines[0].strip("'\"`.*").lower() if lines else ""
    if word == "safe" and len(lines) == 1:
        return None
    if re.fullmatch(r"unsafe\b.*", word):
        return list(dict.fromkeys(code.upper() for code in _CODE.findall(" ".join(lines)[len("unsafe") :])))
    raise ValueError(answer)


def _role(generation: Generation, message: Message) -> str:
    if message.role == "assistant":
        return generation.assistant
    if generation.other_roles:
        return message.role.capitalize()
    return "User"


def _defused(text: str) -> str:
    """A text without the marks of the prompt itself, so that it cannot end its own conversation."""
    text = _OWN_MARKS.sub(r"[\1]", text)
    return _INST.sub(r"(\1)", text)

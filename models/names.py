"""Names of people, places, firms and things: mostly invented, some real, some letter soup to be copied."""

from __future__ import annotations

import string

from models.draw import Draw, words

ONSETS = words(
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k kl kr l m n p pl pr qu r s sc sh sk sl sm sn sp st "
    "str t th tr v w x y z"
)
VOWELS = words("a e i o u ai ea ee ia io oo ou a e i o u a e i o")
CODAS = ["", "", "", *words("n r l s t m k x nd rn rk lt th ck ss")]
FIRST_NAMES = words(
    "Ada Alan Alice Amir Ana Anna Ben Bob Carlos Carol Chen Clara David Diego Elena Emma Erik Eva "
    "Fatima Felix Frank Grace Hana Hans Ines Ivan Jack James Jane John Julia Kai Kim Laura Leo Lin "
    "Lucy Maria Mark Mary Max Maya Mia Mohamed Nina Noah Nora Olga Oliver Omar Paul Peter Priya Rosa "
    "Ruth Sam Sara Sofia Tom Uma Victor Wei Yuki Zoe"
)
LAST_NAMES = words(
    "Adams Baker Brown Chen Clark Costa Cruz Davis Evans Fischer Garcia Gupta Hall Hansen Ito Jones "
    "Khan Kim Klein Lee Lopez Martin Meyer Moore Novak Okafor Park Patel Perez Popov Reed Rossi Sato "
    "Schmidt Silva Singh Smith Tanaka Taylor Turner Walker Wang Weber White Wilson Wood Wright Young "
    "Zhang"
)
CITIES = words(
    "Amsterdam Athens Austin Bangkok Barcelona Berlin Bogota Boston Cairo Chicago Delhi Denver Dublin "
    "Geneva Hanoi Helsinki Istanbul Kyoto Lagos Lima Lisbon London Madrid Miami Milan Montreal Moscow "
    "Munich Nairobi Oslo Paris Porto Prague Quito Rome Seattle Seoul Sydney Tokyo Toronto Vienna "
    "Warsaw Zurich France Spain Italy Japan Norway"
)


def _syllables(draw: Draw, low: int, high: int) -> str:
    parts = (draw.one(ONSETS) + draw.one(VOWELS) + draw.one(CODAS) for _ in range(draw.integer(low, high)))
    return "".join(parts)


def _soup(draw: Draw) -> str:
    letters = "".join(draw.one(string.ascii_lowercase) for _ in range(draw.integer(3, 6)))
    return letters.capitalize() if draw.chance(0.7) else f"{letters.upper()}{draw.integer(1, 99)}"


def word(draw: Draw, low: int = 1, high: int = 2) -> str:
    """One invented capitalised word, sometimes letter soup or a code."""
    return draw.name(lambda: _soup(draw) if draw.chance(0.12) else _syllables(draw, low, high).capitalize())


def first_name(draw: Draw) -> str:
    if draw.chance(0.4):
        return draw.name(lambda: draw.one(FIRST_NAMES))
    return word(draw)


def person(draw: Draw) -> str:
    """A full name."""
    last = draw.name(lambda: draw.one(LAST_NAMES)) if draw.chance(0.3) else word(draw)
    return f"{first_name(draw)} {last}"


def place(draw: Draw) -> str:
    if draw.chance(0.35):
        return draw.name(lambda: draw.one(CITIES))
    return word(draw) + draw.one(["", "", "", " Bay", " City", "ville", " Falls", "burg"])


def firm(draw: Draw) -> str:
    return word(draw) + draw.one(["", " Labs", " Corp", " Systems", " Foods", "tech", " Group", " Bank", " University"])


def thing(draw: Draw) -> str:
    return word(draw) + draw.one(["", "", f" {draw.integer(2, 99)}", " Pro", " X"])


def year(draw: Draw) -> str:
    return str(draw.integer(1500, 2035))


def count(draw: Draw) -> str:
    """A whole number of one to four digits."""
    return str(draw.integer(2, 10 ** draw.integer(1, 4)))

"""What people call the classes, and which one they mean."""

import re
from difflib import get_close_matches
from typing import Final

from toolkit.records import LABELS


def _key(text: str) -> str:
    """Return what is left of a name without case, signs and the plural: ``T-Shirts`` and ``tshirt`` are one."""
    return re.sub(r"[^a-z0-9]", "", text.lower()).removesuffix("s")


#: Each class by its key, by a part of its name that no other class has, and by a plural that is more than an s.
_NUMBERS: Final = {_key(label): number for number, label in enumerate(LABELS)} | {
    _key("T-shirt"): 0,
    _key("top"): 0,
    _key("boot"): 9,
    _key("dresses"): 3,
}
#: What else people call them: told as a guess, never taken, for a shop may draw its lines elsewhere.
_SYNONYMS: Final = {
    _key(word): number
    for number, words in {
        0: "tee, tank top",
        1: "pants, jeans, slacks, chinos",
        2: "sweater, jumper, sweatshirt, hoodie",
        4: "overcoat, raincoat, trench coat",
        5: "flip-flop",
        7: "trainer, running shoe",
        8: "handbag, purse, backpack, rucksack, tote, tote bag, clutch, satchel",
        9: "bootie",
    }.items()
    for word in words.split(", ")
}
# One letter from a class, and other garments.
_OTHERS: Final = {_key("skirt"), _key("shorts")}
# Of three letters another is a third: "bug" is no misspelt bag.
_SHORTEST_MISSPELT: Final = 4
_NEAR: Final = 0.8


def find_label(text: str) -> int | None:
    """Return the class that a number from 0 to 9 or a name means, or None.

    Example:
        >>> find_label("ankle-boot"), find_label(" 9 "), find_label("T-Shirts"), find_label("hat")
        (9, 9, 0, None)
    """
    word = text.strip()
    if word.isdecimal() and word.isascii():
        return int(word) if len(word) == 1 else None
    return _NUMBERS.get(_key(word))


def near_label(text: str) -> str | None:
    """Return the name of the class that was perhaps meant: a synonym, or what is spelt nearly so.

    Example:
        >>> near_label("snaeker"), near_label("handbags"), near_label("skirt")
        ('Sneaker', 'Bag', None)
    """
    word = _key(text)
    if word in _SYNONYMS:
        return LABELS[_SYNONYMS[word]]
    known = [each for each in _NUMBERS if len(each) >= _SHORTEST_MISSPELT and word not in _OTHERS]
    near = get_close_matches(word, known, n=1, cutoff=_NEAR)
    return LABELS[_NUMBERS[near[0]]] if near else None


def unknown_label(text: str) -> str:
    """Return the sentence about a label that `find_label` does not know.

    Example:
        >>> unknown_label("snaeker")
        "the label 'snaeker' is no class: did you mean 'Sneaker'?"
    """
    word = text.strip()
    if not word:
        return "the label is missing"
    if re.fullmatch(r"[+-]?\d+(\.\d*)?", word):
        return f"the label {word} is no class: write 0 to 9, or a name"
    near = near_label(word)
    hint = f"did you mean {near!r}?" if near else f"write 0 to 9, or one of {', '.join(LABELS)}"
    return f"the label {word!r} is no class: {hint}"


def read_label(text: str) -> int | str:
    """Return the class that a number or a name means, or the sentence on why it means none."""
    label = find_label(text)
    return unknown_label(text) if label is None else label

"""What people write for a class: its number, or its name in one of the ways in which it is written."""

import re
from difflib import get_close_matches
from typing import Final

from toolkit.records.model import LABELS

_NUMBERS: Final = tuple(str(number) for number in range(len(LABELS)))


def _plain(text: str) -> str:
    """Return a name without case, spaces, hyphens and the like: ``T-shirt/top`` is ``tshirttop``."""
    return re.sub(r"[\W_]+", "", text).casefold()


# "T-shirt/top" is two words for one class; the eight others have one name each.
_NAMES: Final = {_plain(name): number for number, label in enumerate(LABELS) for name in (label, *label.split("/"))}


def parse_label(text: str) -> int | None:
    """Return the number of a class, or None if ``text`` names none.

    Args:
        text: A digit from 0 to 9, or a name of Fashion-MNIST: ``Ankle boot``, ``ankle-boot``, ``T-shirt``, ``top``.
    """
    word = text.strip()
    return int(word) if word in _NUMBERS else _NAMES.get(_plain(word))


def unknown_label(text: str) -> str:
    """Return the sentence about a label that `parse_label` does not know."""
    word = text.strip()
    if not word:
        return "the label is missing"
    if re.fullmatch(r"[+-]?\d+(\.\d*)?", word):
        return f"the label {word} is no class: write 0 to 9, or a name"
    near = get_close_matches(_plain(word), _NAMES, n=1, cutoff=0.6)
    hint = f"did you mean {LABELS[_NAMES[near[0]]]!r}?" if near else f"write 0 to 9, or one of {', '.join(LABELS)}"
    return f"the label {word!r} is no class: {hint}"

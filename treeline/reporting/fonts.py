"""Pictures that can be read: fonts with the signs of the names that stand in them."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache

import matplotlib as mpl
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

LAST_RESORT = "last resort"  # fonts that draw boxes for every sign there is


@contextmanager
def legible(texts: Iterable[str]) -> Iterator[None]:
    """Draw pictures in the block with installed fonts that have the signs of some texts.

    A sign that no installed font has is drawn as a box, which `missing_signs` lets one say beforehand.
    """
    families, _ = _found(_signs(texts))
    with mpl.rc_context({"font.family": [*mpl.rcParams["font.family"], *families]}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


def missing_signs(texts: Iterable[str]) -> str:
    """Say that no installed font has some signs of the texts; empty where there is a font for each."""
    _, missing = _found(_signs(texts))
    if not missing:
        return ""
    count = f"{len(missing)} signs" if len(missing) > 1 else "a sign"
    return (
        f"No installed font has {count} of the names, such as {missing[0]!r}: the pictures show boxes in their place. "
        "Install a font that has them, such as Noto Sans CJK for Chinese, Japanese and Korean."
    )


def _signs(texts: Iterable[str]) -> str:
    """Give the different signs that need a glyph, in order."""
    return "".join(sign for sign in dict.fromkeys("".join(texts)) if sign.isprintable() and not sign.isspace())


@lru_cache(maxsize=64)
def _found(signs: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the families, beside the default one, that together have the signs; and the signs that none has."""
    missing = {sign for sign in signs if ord(sign) not in _has(findfont(FontProperties()))}
    families: list[str] = []
    for font in fontManager.ttflist if missing else ():
        if font.name in families or LAST_RESORT in font.name.lower():
            continue
        had = {sign for sign in missing if ord(sign) in _has(font.fname)}
        if had:
            families.append(font.name)
            missing -= had
        if not missing:
            break
    return tuple(families), tuple(sign for sign in signs if sign in missing)


@lru_cache(maxsize=512)
def _has(path: str) -> frozenset[int]:
    """Give the signs that a font file has; none where it cannot be read."""
    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()

"""Names: a column's on one line and in a list of columns, and the registered model's, after the table's."""

import hashlib
import re
import unicodedata
from collections.abc import Collection, Iterable

from treeline import UserError, nearest

FORM_ENDINGS = ("Booster", "Service")  # of the other two registered models that stand for one
MAX_MODEL_NAME = 200  # bytes: with the longest ending, and as a file's name, it still is one
MAX_FILE_NAME = 150  # bytes
_LISTED = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?:,|$)|([^,]*)(?:,|$)')

_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_WORD = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
_WORD += r"nov(?:ember)?|dec(?:ember)?)"
_BETWEEN = r"[-_. ]"
_TIME = r"(?:[T_ .-]*(?:[01]\d|2[0-3])[-_:.h]?[0-5]\d(?:[-_:.]?[0-5]\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)?"
_DATES = [
    rf"{_YEAR}({_BETWEEN}?){_MONTH}\1{_DAY}{_TIME}",  # 2026-11-26, 20261126_103000
    rf"{_DAY}({_BETWEEN}){_MONTH}\2{_YEAR}{_TIME}",
    rf"{_MONTH}({_BETWEEN}){_DAY}\3{_YEAR}{_TIME}",
    rf"{_YEAR}{_BETWEEN}?(?:{_MONTH}|[Ww][0-5]\d|[Qq][1-4])",  # 2026-11, 202611, 2026-W48, 2026Q4
    rf"(?:{_MONTH}|[Ww][0-5]\d|[Qq][1-4]){_BETWEEN}{_YEAR}",
    r"1\d{9}(?:\d{3})?",  # seconds or milliseconds since 1970
]
_WORDED = [
    rf"(?:{_DAY}|[1-9]){_BETWEEN}?{_WORD}{_BETWEEN}?{_YEAR}",
    rf"{_YEAR}{_BETWEEN}?{_WORD}(?:{_BETWEEN}?{_DAY})?",
]
_WORDED += [rf"{_WORD}{_BETWEEN}?{_YEAR}"]
_DATED = re.compile(rf"(?<!\d)(?:{'|'.join(_DATES)})(?!\d)|(?<![^\W_])(?:{'|'.join(_WORDED)})(?![^\W_])", re.IGNORECASE)


def one_line(name: str) -> str:
    r"""Spell a column's name on one line: a line break is `\n`, as every sign that does not print is escaped."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)


def read_names(text: str, known: Iterable[str], setting: str) -> list[str]:
    """Read a list of column names, separated by commas.

    A name that holds a comma, or a blank at an end, stands in double quotes, a double quote within it twice. Signs that
    do not print may be written as `one_line` spells them.

    Raises:
        UserError: a name is not among the known ones.
    """
    if not text.strip():  # it names none, not even a column without a name
        return []
    known = list(known)
    spelled = {one_line(name): name for name in known} | {name: name for name in known}
    for whole in (text, text.strip()):
        if whole in spelled:
            return [spelled[whole]]
    listed = (
        each[2].strip() if each[1] is None else each[1].replace('""', '"') for each in _LISTED.finditer(text.rstrip())
    )
    names = [name for name in listed if name]
    for name in names:
        if name not in spelled:
            raise UserError(
                f"{setting} names {name!r}, which is not among the columns beside the target.{nearest(name, known)} A "
                "name that holds a comma or ends in a blank stands in double quotes."
            )
    return list(dict.fromkeys(spelled[name] for name in names))


def free_name(name: str, taken: Collection[str]) -> str:
    """Give a name that none of the others has: the name itself, or with as many `_` at its end as that takes."""
    while name in taken:
        name += "_"
    return name


def file_name(table: str) -> str:
    """Spell a table's name so that it can begin a file's: 150 bytes at most, of letters, digits, ` `, `.`, `_`, `-`."""
    plain = re.sub(r"[^\w. -]+", "-", unicodedata.normalize("NFC", table))
    return plain.encode()[:MAX_FILE_NAME].decode(errors="ignore")


def model_name(table: str) -> str:
    """Name the registered model after the table: `CancerModel` for the default one, `HousePricesModel` for a file
    `house_prices.csv`; `TableModel` where nothing of the name can be kept.

    A date, with a time or without, is no part of it: tomorrow's file is another version of the same model. A name too
    long is cut, and told from others by a hash.
    """
    if table == "breast_cancer":
        return "CancerModel"
    text = _DATED.sub(" ", unicodedata.normalize("NFC", table))
    # Marks, such as the vowels of Hindi, are a part of their letter.
    kept = (sign if sign.isalnum() or unicodedata.category(sign)[0] == "M" else " " for sign in text)
    words = "".join(kept).split()
    name = "".join(word[0].upper() + word[1:] for word in words or ["Table"])
    if len(f"{name}Model".encode()) > MAX_MODEL_NAME:
        told = hashlib.sha256(name.encode()).hexdigest()[:8]
        room = MAX_MODEL_NAME - len(f"{told}Model")
        name = name.encode()[:room].decode(errors="ignore") + told
    return f"{name}Model"


def wrong_model_name(name: str) -> str:
    """Say why a registered model cannot have a name: MLflow, its URIs or a file system would not take it, or it is
    another model's. Empty where it can, and where there is no name.
    """
    strange = not name.isprintable() or re.search(r"[/:.%\"'@?#\\]", name)
    if name != name.strip() or len(name.encode(errors="replace")) > MAX_MODEL_NAME or strange:
        return (
            f"a model's name has {MAX_MODEL_NAME} signs at most (one beyond ASCII counts for two or more), no blank at "
            "an end, no line break, and none of / : . % \" ' @ ? # \\"
        )
    for ending in FORM_ENDINGS:
        if name.endswith(ending):
            other = f", {name.removesuffix(ending)!r}, or another" if name != ending else ""
            return f"a name that ends in {ending} is that of a form of a model; name the model itself{other}"
    return ""


def is_dated(table: str) -> bool:
    """Tell whether a table's name holds a date."""
    return _DATED.search(table) is not None

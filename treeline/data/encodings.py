"""In which encoding a text file is written: what its first bytes say, UTF-8 where it is, else a guess that is told."""

import codecs
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from treeline import UserError
from treeline.data.files import unpacked

BLOCK_BYTES = 1 << 22
GUESS_BYTES = 1 << 16  # of lines with signs beyond ASCII, by which an encoding is guessed
SIGNS = "€£§°²³µ’“”„–—«»…"
ALPHABETS = (
    "ÄÖÜäöüß",  # German
    "ÀÂÆÇÈÉÊËÎÏÔŒÙÛÜàâæçèéêëîïôœùûü",  # French
    "ÁÉÍÑÓÚÜáéíñóúü¿¡ªº",  # Spanish
    "ÀÁÂÃÇÉÊÍÓÔÕÚàáâãçéêíóôõúªº",  # Portuguese
    "ÀÈÉÌÒÙàèéìòù",  # Italian
    "ÅÄÖÆØåäöæøé",  # of the North
    "ĄĆĘŁŃÓŚŹŻąćęłńóśźż",  # Polish
    "ÁČĎÉĚÍŇÓŘŠŤÚŮÝŽáčďéěíňóřšťúůýžÄäĹĺĽľÔôŔŕ",  # Czech, Slovak
    "ÁÉÍÓÖŐÚÜŰáéíóöőúüű",  # Hungarian
    "ÇĞİÖŞÜçğıöşüâîû",  # Turkish
)
FEW_LETTERS = 4  # different ones
MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# Those that table files are written in, the commoner of two that read a file alike first.
WESTERN = "cp1252"
LIKELY = [WESTERN, "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "iso8859_2", "iso8859_15"]
LIKELY += ["koi8_r", "cp437", "cp850", "cp866", "mac_roman", "cp932", "gb18030", "big5", "euc_jp", "cp949"]


@dataclass(frozen=True)
class Encoding:
    """An encoding by Python's name, and a sentence on how it was found where that was a guess."""

    name: str
    note: str = ""


def tell_encoding(path: Path, asked: str = "") -> Encoding:
    """Tell the encoding of a text file.

    Args:
        path: of the file, which may be packed.
        asked: what the user says it is; empty tells it from the file.

    Raises:
        UserError: the file is not written in the encoding asked for.
        ValueError: it is no text.
    """
    with unpacked(path) as file:
        head = file.read(BLOCK_BYTES // 16)
    if asked:
        where = _first_undecodable(path, asked)
        if where:
            raise UserError(f"{path.name} is not written in {asked}: {where}. Name another encoding, or none.")
        return Encoding("utf-8-sig" if codecs.lookup(asked).name == "utf-8" and head.startswith(MARKS[0][0]) else asked)
    for mark, name in MARKS:
        if head.startswith(mark):
            return Encoding(name)
    if wide := _wide_without_mark(head):
        return Encoding(wide, f"The encoding is taken for {wide}: every other byte is zero, and no mark names it.")
    if head.count(0) > len(head) / 4:
        raise ValueError("it holds bytes that no text has")
    if not _first_undecodable(path, "utf-8"):
        return Encoding("utf-8")
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head):
        raise ValueError("it holds bytes that no text has")
    return _guess(path, head)


def _first_undecodable(path: Path, encoding: str) -> str:
    """Read a whole file and say where it leaves an encoding; empty where it does not."""
    try:
        with unpacked(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
            while text.read(BLOCK_BYTES):
                pass
    except UnicodeError as error:
        return str(error)
    return ""


def _wide_without_mark(head: bytes) -> str:
    """Tell UTF-16 that begins with no mark: of the Latin signs in it every other byte is zero."""
    low, high = head[0::2], head[1::2]
    if len(head) < 4 or not (low and high):
        return ""
    zero_low, zero_high = low.count(0) / len(low), high.count(0) / len(high)
    if zero_high > 0.2 and zero_low < 0.02:
        return "utf-16-le"
    return "utf-16-be" if zero_low > 0.2 and zero_high < 0.02 else ""


def _guess(path: Path, head: bytes) -> Encoding:
    """Guess the encoding by the lines with signs beyond ASCII: the likeliest that reads the whole file.

    Raises:
        ValueError: none does.
    """
    telling = b"\n".join(_telling_lines(path)) or head
    if _only_western_signs(telling) or _few_western_letters(telling):
        return Encoding(WESTERN, _told(WESTERN, 90))
    from charset_normalizer import from_bytes  # a served model, which brings this module, reads no files

    found = list(from_bytes(telling, cp_isolation=LIKELY, threshold=1.0))
    texts = {each.encoding: str(each) for each in found}
    ranked = sorted(found, key=lambda each: (_doubt(each.encoding, texts), each.chaos, -each.coherence))
    for match in ranked:
        name = next(name for name in LIKELY if name == match.encoding or name in match.could_be_from_charset)
        if not _first_undecodable(path, name):
            rivals = {texts[each.encoding] for each in found if each.chaos <= match.chaos + 0.05}
            return Encoding(name, _told(name, round(100 * (1 - match.chaos) / (1 + 0.2 * (len(rivals) - 1)))))
    raise ValueError("it is written in no encoding that could be told; name it with the setting encoding")


def _told(encoding: str, percent: int) -> str:
    return (
        f"The encoding is guessed to be {encoding}, with a confidence of {percent} %: where letters look wrong, name "
        "the right one with the setting encoding."
    )


def _doubt(encoding: str, texts: Mapping[str, str]) -> int:
    """Put first what makes the letters of one language or of Western words of the bytes, last Western that does not."""
    strange = set(re.findall(r"[^\x00-\x7f]", texts[encoding])) - set(SIGNS)
    if any(strange <= set(alphabet) for alphabet in ALPHABETS):
        return 0
    if encoding not in (WESTERN, "iso8859_15") and texts[encoding] != texts.get(WESTERN):
        return 1
    return 0 if _latin(texts[encoding]) else 2


def _only_western_signs(telling: bytes) -> bool:
    """Tell whether nothing beyond ASCII stands there but signs of money and measure, which letters tell apart best."""
    return not re.search(r"[^\x00-\x7f€£§°²³µ]", telling.decode(WESTERN, errors="replace"))


def _few_western_letters(telling: bytes) -> bool:
    """Tell whether there are so few signs beyond ASCII, all of them Western letters, that a detector sees no words."""
    strange = set(re.findall(rb"[\x80-\xff]", telling))
    return len(strange) <= FEW_LETTERS and _latin(telling.decode(WESTERN, errors="replace"))


def _latin(text: str) -> bool:
    """Tell whether the signs beyond ASCII are Western letters, or signs that do not stand between letters."""
    strange = re.findall(r"[^\x00-\x7f]", text)
    letters = re.findall(r"[ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüœŒ]", text)
    signs = re.findall(r"(?<![^\W\d_])[€£§°«»“„](?![^\W\d_])|[²³µ°’”“–—«»€§](?![^\W\d_])|[’“„«](?=[a-z])", text)
    runs = re.findall(r"[À-ÖØ-öø-ÿ]{3,}", text)
    return len(letters) + len(signs) >= 0.97 * len(strange) and len("".join(runs)) < 0.2 * len(strange)


def _telling_lines(path: Path) -> list[bytes]:
    """Give lines that hold signs beyond ASCII, as many as a guess needs."""
    lines: list[bytes] = []
    size = 0
    with unpacked(path) as file:
        while size < GUESS_BYTES and (block := file.read(BLOCK_BYTES)):
            for line in re.split(rb"[\r\n]+", block):
                if line.isascii():
                    continue
                lines.append(line[:1000])
                size += len(lines[-1])
                if size >= GUESS_BYTES:
                    break
    return lines

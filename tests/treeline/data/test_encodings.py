"""Encodings: read from the bytes where they say so, guessed and told where not, and named by the user."""

import random
import sys
import time
from pathlib import Path

import pytest

from treeline import UserError
from treeline.data.encodings import tell_encoding
from treeline.data.files import FileSettings
from treeline.data.reading import read_path

WORDS = {
    "cp1252": "Köln München Straße São Málaga Orléans España señor",
    "cp1250": "Łódź Kraków Gdańsk Wrocław Poznań żółty",
    "cp1251": "Москва Казань Новосибирск хорошо плохо",
    "koi8_r": "Москва Казань Новосибирск хорошо плохо",
    "cp1253": "Αθήνα Θεσσαλονίκη Πάτρα καλό",
    "cp1254": "İstanbul İzmir Muğla Şanlıurfa Ağrı güzel",
    "cp932": "東京 大阪 名古屋 カタカナ ひらがな",
    "gb18030": "北京 上海 广州 深圳 很好",
    "big5": "台北 高雄 臺中 很好 新竹",
    "cp949": "서울 부산 대구 인천 좋아요",
    "utf-16-le": "Köln 東京 abc",
    "utf-16-be": "Köln 東京 abc",
}


def text_of(words: str) -> str:
    rng = random.Random(0)
    return "town,x\n" + "".join(f"{rng.choice(words.split())},{i}\n" for i in range(200))


@pytest.mark.parametrize("encoding", WORDS)
def test_an_encoding_is_guessed_and_told(tmp_path: Path, encoding: str) -> None:
    path, text = tmp_path / "t.csv", text_of(WORDS[encoding])
    path.write_bytes(text.encode(encoding))
    told = tell_encoding(path)
    assert path.read_bytes().decode(told.name) == text
    assert told.name in told.note
    assert told.note in read_path(path, "t.csv").notes
    assert tell_encoding(path, encoding).note == ""


@pytest.mark.parametrize("words", ["5€ 7£", "20°C 5m²", "é a b c d e f", "it’s don’t –"])
def test_a_few_western_signs_are_enough(tmp_path: Path, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(text_of(words).encode("cp1252"))
    assert tell_encoding(tmp_path / "t.csv").name == "cp1252"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "ascii"])
def test_what_the_bytes_say_is_no_guess(tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    text = text_of("plain words" if encoding == "ascii" else "Köln 東京 😀")
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    assert tell_encoding(tmp_path / "t.csv").note == ""
    assert read_path(tmp_path / "t.csv", "t.csv").frame["town"].tolist() == [
        line.split(",")[0] for line in text.splitlines()[1:]
    ]


def test_a_sign_beyond_ascii_is_found_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\n" + b"x,1\n" * 200_000 + "Köln,2\n".encode("cp1252"))
    assert read_path(tmp_path / "t.csv", "t.csv").frame["a"].iloc[-1] == "Köln"


def test_an_encoding_that_is_named_is_taken_or_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(text_of("Köln").encode("cp850"))
    read = read_path(tmp_path / "t.csv", "t.csv", FileSettings(encoding="cp850"))
    assert read.frame["town"].iloc[0] == "Köln"
    assert read.notes == []
    with pytest.raises(UserError, match=r"^t\.csv is not written in utf-8: .*byte 0x94.*Name another encoding"):
        read_path(tmp_path / "t.csv", "t.csv", FileSettings(encoding="utf-8"))


def test_utf_8_that_is_named_may_begin_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("a,b\n1,2\n".encode("utf-8-sig"))
    assert list(read_path(tmp_path / "t.csv", "t.csv", FileSettings(encoding="utf8")).frame.columns) == ["a", "b"]


@pytest.mark.parametrize("content", [b"\0" * 100, bytes(range(256)) * 20, b"a,b\n\x01\x02\xff,1\n"])
def test_bytes_that_no_text_has_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(UserError, match="it holds bytes that no text has"):
        read_path(tmp_path / "t.csv", "t.csv")


def test_a_long_line_takes_no_longer_than_many_short_ones(tmp_path: Path) -> None:
    """A pattern that begins anew at each character of the line would take hours."""
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n" + b"1," * 500_000 + b"\ncaf\xe9,1\n")
    start = time.monotonic()
    assert tell_encoding(path).name == "cp1252"
    assert time.monotonic() - start < 20

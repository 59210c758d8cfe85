"""What words look like."""

import pytest

from treeline.data.looks import is_index_name, is_unspaced, looks_like, word_count


@pytest.mark.parametrize(
    ("texts", "look"),
    [
        (["https://a.org/1", "http://b.org"], "a URL"),
        (["a@b.org", "c.d@e.com"], "an e-mail address"),
        (["192.168.0.1", "10.0.0.1"], "an IP address"),
        (["00:1b:44:11:3a:b7"], "a MAC address"),
        (["2021-03-02 00:00 Europe/Berlin", "Montag, 2. März 2021"], "a date or time"),
        (["2021-03-02.jpg", "a/2021/03.png"], "a file name"),
        (["48°59'26\"N", "48.98°S"], "a coordinate"),
        (["+49 30 546153", "(379) 922-4178", "525-832-7855"], "a phone number"),
        (["142/73"], "two numbers"),
        (["735-739", "10 - 19"], "a range"),
        (["16:9", "2:1"], "a ratio"),
        (["5'7", "6'2\"", "5' 11\""], "a length in feet and inches"),
        (["10.11.12", "v1.2.3"], "a version"),
        (["12 Main St", "5 Elm Road"], "a street address"),
        (["225 RECTOR PLACE", "139-141 WEST 126TH   STREET", "25 INDIAN ROAD, 1B"], "a street address"),
        (["03  THREE FAMILY DWELLINGS", "10  ELEVATOR APARTMENTS"], ""),
        (["12 " + "a" * 200 + "!"], ""),  # which took hours
        (["550e8400-e29b-41d4-a716-446655440000"], "a UUID"),
        (["img/a.png", "b.jpg"], "a file name"),
        (["/usr/lib/x", r"C:\\data\\x"], "a file name"),
        (["Rolls/biscuits", "TCP/IP"], ""),
        (["382-4657", "371-7191"], "a phone number"),
        (["01-701-1015", "01-701-1023"], ""),
        (["(030) 555-0100", "+49 30 5550100"], "a phone number"),
        (["18 - 34", "35 - 64", "65 and up"], ""),
        (["18 - 34", "35 - 64"], "a range"),
        (["6-2", "5-11", "6-10"], "two numbers"),
        (["40-20", "3-61"], "two numbers"),
        (["red", "blue"], ""),
        ([], ""),
    ],
    ids=str,
)
def test_words_look_like_what_they_are(texts: list[str], look: str) -> None:
    assert looks_like(texts) == look


def test_words_without_blanks_are_counted_by_their_signs() -> None:
    assert word_count("這部電影非常好看") == 4
    assert word_count("a film of some kind") == 5
    assert (is_unspaced("とても良い映画"), is_unspaced("a film"), is_unspaced("")) == (True, False, False)


def test_names_of_row_numbers_are_known() -> None:
    assert all(map(is_index_name, ["Unnamed: 0", "index", "__index_level_0__", "rownames", "row.names", ""]))
    assert not any(map(is_index_name, ["id", "x", "indexed", "level"]))

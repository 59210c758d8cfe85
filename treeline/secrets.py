"""Secrets within text: passwords and signatures stand in URLs, which reach logs, records and error messages."""

import re

HIDDEN = "***"  # stands where a secret stood

_PORT = r"(?!\d{1,5}(?![\w@]))"
# What stands before the host: up to the `@`, or, as databases allow, a password of any signs.
_USER = re.compile(rf"(?<=://)(?:[^\s/?#]*|[^\s/?#@:\[]*:(?!:){_PORT}[^@\n]*)@")
# Of a URL whose `//` was forgotten; where a word begins alone, for at each of its signs it would take their square.
_BARE_USER = re.compile(
    rf"(?<![^\s:@/'\"])[^\s:@/'\"]+:(?!\*){_PORT}[^\s:@/'\"]+@"
)  # of a URL whose `//` was forgotten
# Quotes and stops behind a URL belong to the sentence.
_END = r"(?=['\")\]},.;:>]*(?:\s|$))"
_QUERY = re.compile(rf"(\w://[^\s?#]*[?#])\S+?{_END}|(\?)[\w.%~$\[\]-]+=\S*?{_END}")


def without_secrets(text: str) -> str:
    """Put `***` in place of the user, the password and the query of every URL within a text.

    A query goes whole, for what signs a URL has another name with every vendor; so does what stands behind a `#`.

    Example:
        >>> without_secrets("Cannot fetch 'https://me:word@host/t.csv?sig=abc': gone")
        "Cannot fetch 'https://***@host/t.csv?***': gone"
    """
    text = _BARE_USER.sub(f"{HIDDEN}@", _USER.sub(f"{HIDDEN}@", text))
    return _QUERY.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", text)


def lacks_secrets(url: str) -> bool:
    """Tell whether a URL is one that `without_secrets` took something from: as it stands it leads nowhere."""
    return f"{HIDDEN}@" in url or url.endswith((f"?{HIDDEN}", f"#{HIDDEN}"))

"""Secrets taken out of text: whatever a URL holds beside its host and path, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treeline.secrets import lacks_secrets, without_secrets

PLAIN = st.text(st.characters(codec="ascii", exclude_characters=" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f/?#@:"), min_size=1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:word@host:5432/db", "postgresql://***@host:5432/db"),
        ("postgresql+psycopg2://me:1234@host/db", "postgresql+psycopg2://***@host/db"),
        ("postgresql://me:w/o?r d@host/db", "postgresql://***@host/db"),
        ("postgresql://me:0<'@host/db", "postgresql://***@host/db"),
        ("postgresql://me:word%40@host/db?sslmode=require&password=w", "postgresql://***@host/db?***"),
        ("postgresql:me:word@host/db", "postgresql:***@host/db"),
        ("postgresql:/me:word@host/db", "postgresql:/***@host/db"),
        ("https://token@host/project.git", "https://***@host/project.git"),
        ("https://host/t.csv?sv=2&sig=ab%2Bc%3D", "https://host/t.csv?***"),
        ("https://host/my table.csv?sig=abc", "https://host/my table.csv?***"),
        ("https://host/t.csv#access_token=abc", "https://host/t.csv#***"),
        ("simplecache::https://me:word@host/t.csv", "simplecache::https://***@host/t.csv"),
        ("sqlite:///file:f.db?password=word&uri=true", "sqlite:///file:f.db?***"),
        ("-m n_trials=5 data='https://me:w@host/t.csv?sig=abc' seed=1", None),
        ("Cannot open 'https://me:w@host/t.csv?sig=a'b': gone.", "Cannot open 'https://***@host/t.csv?***': gone."),
        ("exceeded with url: /t.csv?X-Amz-Signature=abc (Caused by", "exceeded with url: /t.csv?*** (Caused by"),
    ],
)
def test_a_secret_is_hidden(text: str, shown: str | None) -> None:
    expected = shown or "-m n_trials=5 data='https://***@host/t.csv?***' seed=1"
    assert without_secrets(text) == expected
    assert without_secrets(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "houses.csv",
        "/data/what?.csv",
        "C:/tables/houses.csv",
        "sqlite:////data/mlflow.db",
        "http://localhost:5000/a@b",
        "http://[::1]:5000/a@b",
        "models:/CancerModel@champion",
        "runs:/0123/houses.csv",
        "zip://a.csv::https://host/t@1/t.zip",
        "See https://mlflow.org/docs.",
        "rate = a / b; why = c",
        "10:30:05 me@host.org",
        "accuracy=0.9,log_loss=0.3",
    ],
)
def test_what_holds_none_stays(text: str) -> None:
    assert without_secrets(text) == text


@given(PLAIN, PLAIN, PLAIN)
def test_whatever_word_it_is_it_is_hidden(user: str, password: str, signature: str) -> None:
    url = f"https://{user}:{password}@host/t.csv?sig={signature}A"  # stops at its very end would be the sentence's
    assert without_secrets(url) == "https://***@host/t.csv?***"


@pytest.mark.parametrize("url", ["https://me:w@host/t.csv", "https://host/t.csv?sig=a", "https://host/t.csv#token=a"])
def test_a_url_that_was_shortened_is_told_from_a_whole_one(url: str) -> None:
    assert not lacks_secrets(url)
    assert lacks_secrets(without_secrets(url))

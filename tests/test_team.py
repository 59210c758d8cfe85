"""The team's server before it starts: its files hold no secret, and secrets that are none are refused."""

import configparser
import importlib.util
import re
from types import ModuleType

import pytest
import yaml
from conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/team.md").read_text(encoding="utf-8")
WELL = {
    name: f"{name}-0123456789"
    for name in (
        "POSTGRES_PASSWORD",
        "TREELINE_SECRET_KEY",
        "TREELINE_ADMIN_PASSWORD",
        "TREELINE_PEOPLE_PASSWORD",
        "TREELINE_JOBS_PASSWORD",
    )
}


@pytest.fixture(scope="module")
def team_server() -> ModuleType:
    spec = importlib.util.spec_from_file_location("team_server", REPOSITORY / "docker/team_server.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, ""),
        ({"TREELINE_JOBS_PASSWORD": ""}, "TREELINE_JOBS_PASSWORD is unset or shorter than 16 characters"),
        ({"TREELINE_SECRET_KEY": " " * 30}, "TREELINE_SECRET_KEY is unset or shorter than 16 characters"),
        ({"POSTGRES_PASSWORD": "treeline"}, "POSTGRES_PASSWORD is unset or shorter than 16 characters"),
        ({"TREELINE_ADMIN_PASSWORD": "aaaaaaaaaaaaaaaaaaaa"}, "TREELINE_ADMIN_PASSWORD repeats a few characters"),
        (
            {"TREELINE_ADMIN_PASSWORD": WELL["TREELINE_JOBS_PASSWORD"]},
            "TREELINE_ADMIN_PASSWORD, TREELINE_JOBS_PASSWORD are the same",
        ),
    ],
)
def test_secrets_that_are_none_are_named(team_server: ModuleType, given: dict[str, str], sentence: str) -> None:
    said = team_server.complaint(WELL | given)
    assert sentence in said
    assert said.count(". ") == 0
    assert bool(said) == bool(sentence)


def test_the_server_does_not_start_without_secrets(team_server: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WELL:
        monkeypatch.delenv(name, raising=False)
    for argv in (["--check"], ["--host", "0.0.0.0"]):
        with pytest.raises(SystemExit, match=r"^error: The team's server does not start, for POSTGRES_PASSWORD, "):
            team_server.main(argv)


def test_the_page_makes_every_secret_and_none_has_a_default(team_server: ModuleType) -> None:
    compose = (REPOSITORY / "docker/docker-compose.yml").read_text(encoding="utf-8")
    for name in team_server.SECRETS:
        assert name in PAGE
        assert set(re.findall(rf"\$\{{{name}(.*?)\}}", compose)) == {"-"}, name


def test_an_account_sees_what_others_made_and_the_admin_has_no_password_of_the_files() -> None:
    configuration = configparser.ConfigParser()
    configuration.read(REPOSITORY / "docker/basic_auth.ini")
    assert configuration["mlflow"]["default_permission"] == "READ"
    assert "admin_password" not in configuration["mlflow"]


def test_mlflow_and_the_champion_are_reached_through_the_proxy_alone() -> None:
    services = yaml.safe_load((REPOSITORY / "docker/docker-compose.yml").read_text(encoding="utf-8"))["services"]
    team = {name for name, each in services.items() if "team" in each["profiles"] or name.startswith("team-")}
    assert team == {"secrets", "database", "mlflow", "proxy", "team-pipeline", "team-serving"}
    assert {name for name in team if services[name].get("ports")} == {"proxy"}

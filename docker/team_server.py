#!/usr/bin/env python
"""The team's MLflow server: its secrets looked at, its accounts made, then the server itself.

Reads: POSTGRES_PASSWORD, TREELINE_SECRET_KEY and the three accounts' passwords from the environment.
Writes: the accounts `admin`, `people` and `jobs` into the server's database, each with the password of this moment.
Run: team-server --host 0.0.0.0 ...         any parameter of `mlflow server`; `--check` alone looks at the secrets
"""

import configparser
import os
import sys

FEWEST_CHARACTERS = 16
ACCOUNTS = {
    "admin": "TREELINE_ADMIN_PASSWORD",
    "people": "TREELINE_PEOPLE_PASSWORD",
    "jobs": "TREELINE_JOBS_PASSWORD",
}
SECRETS = ("POSTGRES_PASSWORD", "TREELINE_SECRET_KEY", *ACCOUNTS.values())
# What jobs may do, whoever made it; an alias is only moved by who may also delete it.
RIGHTS = {"experiment": "EDIT", "registered_model": "MANAGE"}
WORKSPACE = "default"  # the only one there is


def complaint(environment: dict[str, str]) -> str:
    """Say what is wrong with the secrets, in one sentence; nothing where they are well."""
    short = [name for name in SECRETS if len(environment.get(name, "").strip()) < FEWEST_CHARACTERS]
    values = [environment.get(name, "") for name in SECRETS]
    twice = [name for name in SECRETS if values.count(environment.get(name, "")) > 1]
    plain = [name for name in SECRETS if len(set(environment.get(name, ""))) < FEWEST_CHARACTERS // 4]
    if not (short or twice or plain):
        return ""
    which = short or twice or plain
    what = (
        f"{'is' if len(which) == 1 else 'are'} unset or shorter than {FEWEST_CHARACTERS} characters"
        if short
        else "are the same"
        if twice
        else f"{'repeats' if len(which) == 1 else 'repeat'} a few characters"
    )
    return (
        f"The team's server does not start, for {', '.join(which)} {what}: set each to a secret of its own in the "
        "environment or the file of --env-file, as docs/team.md shows."
    )


def make_accounts(environment: dict[str, str]) -> None:
    """Give each account the password that the environment holds, and `jobs` the right to write everywhere."""
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore  # takes seconds, which `--check` need not

    configuration = configparser.ConfigParser()
    configuration.read(environment["MLFLOW_AUTH_CONFIG_PATH"])
    store = SqlAlchemyStore()
    store.init_db(configuration["mlflow"]["database_uri"])
    for name, variable in ACCOUNTS.items():
        password, admin = environment[variable], name == "admin"
        if not store.has_user(name):
            store.create_user(name, password, is_admin=admin)
        elif not store.authenticate_user(name, password):
            store.update_user(name, password=password)
    if not any(role.name == "jobs" for role in store.list_roles([WORKSPACE])):
        store.create_role("jobs", WORKSPACE, "writes every experiment and registered model")
    role = store.get_role_by_name(WORKSPACE, "jobs")
    held = {each.resource_type for each in store.list_role_permissions(role.id)}
    for kind in RIGHTS.keys() - held:
        store.add_role_permission(role.id, kind, "*", RIGHTS[kind])
    user = store.get_user("jobs")
    if all(each.id != role.id for each in store.list_user_roles(user.id)):
        store.assign_role_to_user(user.id, role.id)


def main(argv: list[str]) -> None:
    """Refuse weak secrets; otherwise become the server."""
    environment = dict(os.environ)
    if sentence := complaint(environment):
        sys.exit(f"error: {sentence}")
    if argv == ["--check"]:
        return
    make_accounts(environment)
    # The server needs neither the accounts' passwords, of which it keeps hashes, nor can it leak what it does not hold.
    kept = {name: value for name, value in environment.items() if name not in ACCOUNTS.values()}
    kept["MLFLOW_FLASK_SERVER_SECRET_KEY"] = kept.pop("TREELINE_SECRET_KEY")
    os.execvpe("mlflow", ["mlflow", "server", "--app-name", "basic-auth", *argv], kept)


if __name__ == "__main__":
    main(sys.argv[1:])

#!/usr/bin/env python
"""Serve a champion over REST; or say in one sentence why there is none to serve.

`make serve` and the container `serving` start it. With a FOLDER and a COMMAND it takes the champion out of the store
into FOLDER, in place of the one that an earlier start left there, and becomes COMMAND: the container `mlserver` does.
Reads: NAMEService@champion, NAME being the environment variable TREELINE_MODEL, from the store of this folder, or from
the one that MLFLOW_TRACKING_URI names.
Run: serve.py [--host HOST] [--port PORT] [--max-body MIB] [--patience SECONDS] [--allowed-hosts NAMES] [--docs]
     serve.py FOLDER COMMAND ...
"""

import argparse
import os
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from sqlalchemy.exc import SQLAlchemyError

SERVICE = "Service"  # tracking.models.SERVICE.suffix: an image of MLServer takes this file without the others
USER_ERROR, COMMAND_LINE, STORE_ERROR = 1, 2, 4  # exit codes, as those of utils.command
# The login and the query of a URL, up to the next blank. For the same reason not treeline.secrets, and so stricter.
SECRETS = re.compile(r"(?<=://)\S*@|(?<=\?)\S+")


def fail(sentence: str, code: int = USER_ERROR) -> NoReturn:
    """End with a sentence, in which no password of the store's address stands."""
    told = SECRETS.sub(lambda found: "***@" if found[0].endswith("@") else "***", sentence)
    sys.stderr.write(f"error: {told}\n")
    sys.exit(code)


class Parser(argparse.ArgumentParser):
    """Tells a wrong command line as every other mistake is told."""

    def error(self, message: str) -> NoReturn:
        """End with a sentence."""
        fail(f"Cannot read the command line: {message}. See python serve.py --help.", COMMAND_LINE)


def fetch(name: str, folder: Path) -> str:
    """Copy the champion of `name` to a folder; return its version.

    Raises:
        SystemExit: with a sentence, where there is no store, no champion, or its files are gone.
    """
    if "MLFLOW_TRACKING_URI" not in os.environ and not Path("mlflow.db").is_file():
        fail(
            f"No experiment store mlflow.db in {Path.cwd()}, and so no champion to serve: stand in the folder "
            "that the main job wrote to, or set MLFLOW_TRACKING_URI."
        )
    store = mlflow.get_tracking_uri()
    try:
        champions = {
            each.name.removesuffix(SERVICE): each.aliases["champion"]
            for each in mlflow.search_registered_models()
            if each.name.endswith(SERVICE) and "champion" in each.aliases
        }
        if name not in champions:
            known = ", ".join(champions) or "none yet; the main job makes one"
            fail(f"{name} has no champion in the store {store}. There are: {known}.")
        if (folder / "MLmodel").is_file():
            shutil.rmtree(folder)
        mlflow.artifacts.download_artifacts(f"models:/{name}{SERVICE}/{champions[name]}", dst_path=str(folder))
    except ImportError as error:
        fail(f"The store {store} needs a driver that is not installed: {error}.")
    except (MlflowException, SQLAlchemyError, OSError) as error:
        fail(
            f"Cannot take the champion of {name} out of the store {store}: "
            f"{str(error).partition(chr(10))[0].rstrip(chr(46))}. "
            "MLFLOW_TRACKING_URI names the store.",
            STORE_ERROR,
        )
    return str(champions[name])


def uncheck(folder: Path) -> None:
    """Take the input columns out of the copy's signature, so that MLflow leaves the check of a request to the pipeline.

    MLflow casts and rebuilds a table column by column, which takes longer than the answer; the pipeline checks names
    and values itself.
    """
    model = Model.load(folder)
    if model.signature is not None:
        model.signature = ModelSignature(outputs=model.signature.outputs)
        model.save(folder / "MLmodel")


def serve(name: str, options: argparse.Namespace) -> None:
    """Answer for the champion of `name` until a signal asks to stop."""
    # Not at the top: an image of MLServer takes this file without the others.
    from tracking.connections import Patience, listen, run
    from tracking.rest import Limits, ScoringApp

    try:
        port = listen(options.host, options.port)
    except socket.gaierror as error:
        fail(f"There is no address {options.host} here ({error.strerror}): name another one with --host.")
    except OSError as error:
        fail(
            f"The port {options.port} of {options.host} is taken or closed to this user ({error.strerror}): "
            "name another one."
        )
    with port, tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model"
        version = fetch(name, copy)
        uncheck(copy)
        model = mlflow.pyfunc.load_model(str(copy))
        limits = Limits(options.max_body * 2**20, hosts=[each for each in options.allowed_hosts.split(",") if each])
        docs = mlflow.pyfunc.scoring_server.init(model) if options.docs else None
        host = f"[{options.host}]" if ":" in options.host else options.host
        sys.stderr.write(f"Serving {name}{SERVICE} version {version} on http://{host}:{options.port}\n")
        run(ScoringApp(model, limits, docs), port, Patience(options.patience))


def _whole(least: int, most: int) -> "type[int]":
    """Read a whole number between two others."""

    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not between {least} and {most}")
        return value

    return number  # type: ignore[return-value]


def main() -> None:
    """Serve, or fetch and become another server."""
    parser = Parser(description="Serve a champion over REST, or hand it to another server.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=_whole(1, 65535), default=5001, help="port to listen on (%(default)s)")
    parser.add_argument(
        "--max-body", type=_whole(1, 1024), default=16, metavar="MIB", help="largest request, in MiB (%(default)s)"
    )
    parser.add_argument(
        "--patience",
        type=_whole(1, 3600),
        default=30,
        metavar="SECONDS",
        help="in which a request must arrive, and its answer be fetched (%(default)s)",
    )
    parser.add_argument(
        "--allowed-hosts",
        default="",
        metavar="NAMES",
        help="names that the header Host of a request may hold, as in 'models.example.org,localhost'; empty: any",
    )
    parser.add_argument("--docs", action="store_true", help="pages about the addresses at /docs and /redoc")
    parser.add_argument("folder", type=Path, nargs="?", help="where another server wants the model")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="that server")
    options = parser.parse_args()
    if options.folder and not options.command:
        parser.error(f"no command after the folder {options.folder}")
    # A wrong address is to be told in seconds; MLflow's own patience is some minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    name = os.environ.get("TREELINE_MODEL", "CancerModel")
    if not options.command:
        serve(name, options)
        return
    sys.stderr.write(f"Serving {name}{SERVICE} version {fetch(name, options.folder)}\n")
    os.execvp(options.command[0], options.command)


if __name__ == "__main__":
    main()

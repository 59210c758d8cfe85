#!/bin/sh
# Run a command as the owner of the working folder, so that what it writes belongs to the caller.
set -eu

# Compose hands on a variable that the caller has set to nothing; MLflow wants such a one to be absent.
[ -n "${MLFLOW_TRACKING_URI-}" ] || unset MLFLOW_TRACKING_URI
[ -n "${MLFLOW_EXPERIMENT_NAME-}" ] || unset MLFLOW_EXPERIMENT_NAME
# MLflow records who started which script, but neither of the two where it finds no name for the user: most users have
# no account in here.
export USER="${USER:-treeline}"

# Compose starts the container as root, which alone may become another user. Whoever starts it as someone else
# (docker run --user, or the image's own user) has chosen already. A folder of root's belongs to a root caller, or to
# the caller of a rootless engine, who is root in here: to stay root is right for both.
if [ "$(id -u)" -eq 0 ]; then
    # "$PWD" and not ".": root without its capabilities may not search a folder that is closed to others.
    set -- setpriv --reuid "$(stat -c %u "$PWD")" --regid "$(stat -c %g "$PWD")" --clear-groups -- "$@"
elif [ -z "${MLFLOW_TRACKING_URI-}" ] && [ ! -w . ]; then
    echo "error: The user $(id -u) cannot write the experiment store to $PWD: add --user \"\$(id -u):\$(id -g)\"" \
        "to docker run, or mount a folder that this user can write." >&2
    exit 1
fi
exec "$@"

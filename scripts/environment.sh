# Shared by the other scripts: `make_environment EXTRAS` leaves a virtual environment
# in .venv (or in $VENV) with ndmapper and these extras, and its programs on the path.
# It can be called again at any time. $PYTHON names another interpreter.

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3 python3.13 python3.12 python3.11
    fi
    for python; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
        then
            echo "$python"
            return
        fi
    done
    echo "ndmapper needs Python 3.11 or later, and there is none among: $*" >&2
    echo "Install it (Debian, Ubuntu: apt install python3 python3-venv), or name an" >&2
    echo "interpreter: PYTHON=/path/to/python3 $0" >&2
    exit 1
}

# Debian and its children ship the venv module as a package of its own.
install_venv_module() {
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
        apt-get update -qq && apt-get install -qq -y "$package" && return
    fi
    echo "The venv module of $1 is missing. Install it and try again" >&2
    echo "(Debian, Ubuntu: sudo apt install $package)." >&2
    exit 1
}

# The external tools that steps are tested with. What is there is not touched.
SYSTEM_PACKAGES="iraf iraf-noao esorex cpl-plugin-muse cpl-plugin-giraf cpl-plugin-hawki
source-extractor libcfitsio-bin gcc python3-dev libx11-dev"

install_system_packages() {
    command -v dpkg-query >/dev/null || {
        echo "These tests run real tools, which are packages of Debian and its children:" >&2
        echo $SYSTEM_PACKAGES >&2
        echo "Install IRAF, esorex and source-extractor in another way, or tests that" >&2
        echo "need them are skipped, each with its reason." >&2
        return
    }
    missing=
    for package in $SYSTEM_PACKAGES; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null |
            grep -q '^installed$' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
            --no-install-recommends $missing >/dev/null && return
    fi
    echo "Missing packages:$missing" >&2
    echo "Install them (sudo apt install$missing), or tests that need them are" >&2
    echo "skipped, each with its reason." >&2
    [ -z "${CI:-}" ] || exit 1
}

make_environment() {
    venv=${VENV:-$repository/.venv}
    if ! [ -x "$venv/bin/pip" ]; then
        python=$(find_python)
        "$python" -c 'import venv, ensurepip' 2>/dev/null || install_venv_module "$python"
        "$python" -m venv "$venv"
    elif [ -n "${PYTHON:-}" ]; then
        version='import sys; print("%d.%d" % sys.version_info[:2])'
        wanted=$("$PYTHON" -c "$version")
        if [ "$("$venv/bin/python" -c "$version")" != "$wanted" ]; then
            echo "$venv is of another Python than $PYTHON ($wanted)." >&2
            echo "Remove it, or name a new folder: VENV=$venv-$wanted $0" >&2
            exit 1
        fi
    fi
    PATH=$venv/bin:$PATH
    python -m pip install --quiet --disable-pip-version-check \
        --editable "$repository[$1]"
}

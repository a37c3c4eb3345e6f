#!/usr/bin/env bash
# Installs everything into a virtual environment: tools/setup.sh PYTHON VENV
#
# SMALLOBJ_DETECTRON2=skip leaves Detectron2 out, for those who build it from source into VENV.
set -euo pipefail
python=${1:?usage: tools/setup.sh PYTHON VENV}
venv=${2:?usage: tools/setup.sh PYTHON VENV}
bin=$venv/bin

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null || fail "no $python here; name yours: make setup PYTHON=..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed, and $python is $("$python" --version)"
[ -x "$bin/python" ] || "$python" -m venv "$venv" ||
    fail "$python cannot make virtual environments (Debian: apt-get install python3-venv)"

# uv installs the same pins several times as fast; pip is the fall-back.
if "$bin/python" -m pip install --quiet uv; then
    install() { "$bin/uv" pip install --python "$bin/python" "$@"; }
else
    install() { "$bin/python" -m pip install "$@"; }
fi

install --quiet -r requirements.txt -r requirements-dev.txt

if [ "${SMALLOBJ_DETECTRON2:-}" != skip ]; then
    # The mirror ships no C++ sources: no_ext.cfg makes setuptools skip the extension. Only for this
    # step, because other packages that build from source would break under it.
    DIST_EXTRA_CONFIG=$PWD/no_ext.cfg "$bin/python" -m pip install --quiet \
        --no-deps --no-build-isolation -r requirements-detectron2.txt
fi

if ! "$bin/python" -c 'import cv2' 2>/dev/null; then
    # opencv-python links against libGL for its windows, which servers lack.
    version=$(sed -n 's/^opencv-python==//p' requirements.txt)
    echo "setup: opencv-python finds no libGL here; taking opencv-python-headless $version" \
        "(all but the window of demo.py --webcam)"
    "$bin/python" -m pip uninstall --quiet --yes opencv-python
    install --quiet "opencv-python-headless==$version"
fi

if [ "${SMALLOBJ_DETECTRON2:-}" = skip ]; then
    echo "setup: ready in $venv but for Detectron2, which is to be built into it now (README, Start)"
    exit
fi
"$bin/python" -c 'import smallobj.engine' || fail "smallobj does not import; see the message above"
echo "setup: ready in $venv"

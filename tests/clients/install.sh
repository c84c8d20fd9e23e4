#!/usr/bin/env bash
# Installs the official SDKs, at their pinned versions, for the tests in server/tests/it/sdk.rs, and
# beside them the parser of C# for tests/explorer.
set -euo pipefail
cd "$(dirname "$0")"
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt -r ../explorer/requirements.txt
npm install --ignore-scripts --no-package-lock --no-audit --no-fund --silent

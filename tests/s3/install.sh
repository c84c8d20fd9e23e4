#!/usr/bin/env bash
# Installs moto, the second S3 server that the tests of server/src/blob/s3 run against.
set -euo pipefail
cd "$(dirname "$0")"
[ -x .venv/bin/python ] || python3 -m venv .venv
.venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt

#!/usr/bin/env bash
# Installs what drives the browser, at its pinned versions, for server/tests/it/browser.rs. The
# browser itself is the distribution's: nothing here downloads one.
set -euo pipefail
cd "$(dirname "$0")"
npm ci --ignore-scripts --no-audit --no-fund --silent

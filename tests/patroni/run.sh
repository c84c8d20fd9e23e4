#!/usr/bin/env bash
# The failover campaign on two PostgreSQL members under Patroni, with etcd: so many switches (9), a third of
# them handed over by patronictl, a third by the death of a server, a third by that of a member. Not part of
# .ci/run, because each waits for an election. Debian's packages; nothing of them is started as a service.
set -euo pipefail
cd "$(dirname "$0")/../.."
missing=()
[ -x /usr/bin/patroni ] || missing+=(patroni)
[ -x /usr/bin/etcd ] || missing+=(etcd-server)
[ -x /usr/lib/postgresql/15/bin/pg_rewind ] || missing+=(postgresql-15)
if [ "${#missing[@]}" -gt 0 ]; then
    sudo=""
    [ "$(id -u)" -eq 0 ] || sudo="sudo"
    export DEBIAN_FRONTEND=noninteractive
    $sudo apt-get update -qq
    $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
HAULAGE_TEST_REQUIRE_ALL=1 HAULAGE_TEST_PATRONI_SWITCHES="${1:-9}" \
    exec cargo test --release -p haulage --test it -- --nocapture under_patroni

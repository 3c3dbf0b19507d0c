#!/usr/bin/env bash
# A Ray cluster of this machine by the recipe, a run submitted to it, and the end of both.
#
#   unshare --pid --fork --mount-proc --kill-child tests/launch/submitted.sh FOLDER WORDS...
#
# In a namespace of processes of its own: `ray stop` ends every Ray that it sees.
set -euo pipefail
folder=$1
shift

launch/ray-cluster.sh head
curl --silent --output /dev/null --write-out '%{http_code}' \
    "http://127.0.0.1:$MASC_DASHBOARD_PORT/api/jobs/" >"$folder/without-token"
curl --silent --output /dev/null --write-out '%{http_code}' \
    --header "Authorization: Bearer $RAY_AUTH_TOKEN" \
    "http://127.0.0.1:$MASC_DASHBOARD_PORT/api/jobs/" >"$folder/with-token"
ss --listening --tcp --numeric --no-header "sport = :$MASC_DASHBOARD_PORT" >"$folder/listening"
launch/ray-cluster.sh submit "$@" 2>&1 | tee "$folder/submitted"
launch/ray-cluster.sh leave

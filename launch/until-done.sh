#!/usr/bin/env bash
# A command, called again where that is worth it: after 3 (not done) and after death by a signal.
# Never after 0, 1 (a wrong call), 2 (too many bad samples), 4 (regressed) and 5 (undecided).
#
#   launch/until-done.sh COMMAND...
#
# For schedulers that know no exit statuses, as KubeRay's. TRIES (5) bounds it. A stop asked of this
# script is heeded: what it has called is let end, and is not called again.
set -uo pipefail

if (($# == 0)); then
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 1
fi
stopped=
trap 'stopped=yes' TERM INT
for ((try = 1; ; try++)); do
    "$@"
    status=$?
    if ((status != 3 && status < 128)) || [[ $stopped ]] || ((try >= ${TRIES:-5})); then
        exit "$status"
    fi
    echo "exit $status: call $((try + 1))" >&2
    sleep "${PAUSE:-10}"
done

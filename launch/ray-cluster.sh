#!/usr/bin/env bash
# A Ray cluster of machines that you have, and runs as jobs on it. From a checkout on each of them:
#
#   launch/ray-cluster.sh head                  # on the first
#   launch/ray-cluster.sh join FIRST_NODE       # on the others, with the first's ~/.ray/auth_token
#   launch/ray-cluster.sh submit run=/scratch/runs/first samples='s3://bucket/gen-*.tar' references=...
#   launch/ray-cluster.sh leave                 # on each
#
# Submit on the first, or from elsewhere through ssh -L 8265:127.0.0.1:8265 FIRST_NODE, with its token.
# Change: (1) where Python's environment is; (2) the port, where another Ray has it; (3) the recipe.
set -euo pipefail

# (1)
export PATH="${MASC_VENV:-$PWD/.venv}/bin:$PATH"
# (2)
port=${MASC_PORT:-6379}
dashboard=${MASC_DASHBOARD_PORT:-8265}
# (3)
recipe=conf/masc.yaml

export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
# How long a job that is stopped may take; Ray's own 3 s would cut limits.grace_seconds.
export RAY_JOB_STOP_WAIT_TIME_S=60

case ${1:-} in
head)
    if [[ -z ${RAY_AUTH_TOKEN:-} && ! -s ~/.ray/auth_token ]]; then
        ray get-auth-token --generate >/dev/null
    fi
    ray start --head --port="$port" --dashboard-host=127.0.0.1 --dashboard-port="$dashboard"
    ;;
join)
    ray start --address="${2:?the first node}:$port"
    ;;
submit)
    # Its exit status is the job's: 0, or 1 for whatever else; masc-eval status says what it was.
    ray job submit --address="http://127.0.0.1:$dashboard" --working-dir=. -- \
        launch/until-done.sh python -m jobs.evaluate "$recipe" "${@:2}"
    ;;
leave)
    ray stop --grace-period=60   # every Ray of this machine
    ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 1
    ;;
esac

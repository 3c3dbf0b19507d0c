#!/usr/bin/env bash
# Ray over all nodes of a job, a command on the first of them, and how that ended.
#
#   HEAD=10.0.0.1 NODES=4 launch/on-nodes.sh RUN COMMAND...
#
# Called once on every node with the same words, by Slurm, AWS Batch and Google Batch. HEAD is the
# first node's IP address, and RAY_AUTH_TOKEN the same everywhere. `ray symmetric-run` starts Ray,
# and ends every Ray on its node: have the nodes for yourself.
#
# Exit status: the command's own, but 3 (call again) where it did not begin or was killed, or RUN is not
# done though it says so. That of symmetric-run is not asked: it is 0 where Ray does not start, and may be
# 1 after a command that did well. Nodes beside the first only lend a hand: 0 where RUN is done, else 3.
set -uo pipefail

if (($# < 2)) || ! command -v ray >/dev/null || ! command -v masc-eval >/dev/null; then
    echo "on-nodes.sh RUN COMMAND..., where ray and masc-eval are on the PATH" >&2
    exit 1
fi
run=$1
shift
: "${HEAD:?the first node\'s IP address}" "${NODES:?how many nodes there are}" "${RAY_AUTH_TOKEN:?}"
# Where the first node notes the command's process and its exit status, for who started us.
notes=${NOTES:-$(mktemp -d)}
mkdir -p "$notes"
rm -f "$notes/pid" "$notes/ended" "$notes/status"

export RAY_AUTH_MODE=token RAY_ADDRESS="$HEAD:6379" RAY_USAGE_STATS_ENABLED=0
# Nodes do not come at the same second; Ray itself waits for 30.
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=${RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT:-600}

is_first() {
    [[ " 127.0.0.1 $(hostname -I) " == *" $HEAD "* ]]
}

is_done() {
    masc-eval status "run=$run" --json | grep -q '"state": "done"'
}

# A preemption notice is for the command alone: Ray has to stay while shards are finished. Before the
# command has begun it ends all.
# shellcheck disable=SC2329  # the trap calls it
stop() {
    if [[ -s $notes/pid ]]; then
        kill -TERM "$(<"$notes/pid")"
    elif is_first; then
        kill -TERM "$child"
    fi
}
child=
trap stop TERM
# shellcheck disable=SC2016  # the inner shell's own words
ray symmetric-run --address "$HEAD:6379" --min-nodes "$NODES" -- \
    bash -c '"$@" & echo $! >"$0/pid"; wait $!; echo $? >"$0/ended"' "$notes" "$@" &
child=$!
while kill -0 "$child" 2>/dev/null; do wait "$child"; done

status=3
if is_first; then
    if [[ -s $notes/ended ]]; then status=$(<"$notes/ended"); fi
    # Killed, as where memory runs out: go on.
    if ((status >= 128)) || { ((status == 0)) && ! is_done; }; then status=3; fi
    echo "$status" >"$notes/status"
elif is_done; then
    status=0
fi
exit "$status"

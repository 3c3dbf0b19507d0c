#!/usr/bin/env bash
# Two nodes that are namespaces of this machine, with a wire between them, and a recipe on both.
#
#   tests/launch/two_nodes.sh FOLDER COMMAND...
#
# COMMAND is run on both at once, with NODE (0, 1), FIRST (the first node's address) and a RAY_TMPDIR
# of its own; its exit statuses go to FOLDER/status-NODE. A namespace of processes each, since `ray stop`
# ends every Ray that it sees.
set -uo pipefail
folder=$1
shift
name=masc$$
trap 'ip netns del $name-0; ip netns del $name-1' EXIT

ip netns add "$name-0" && ip netns add "$name-1" || exit 77
# Names of links may have 15 letters.
ip link add "m$$a" netns "$name-0" type veth peer name "m$$b" netns "$name-1" || exit 77
ip -n "$name-0" address add 10.99.7.1/24 dev "m$$a"
ip -n "$name-1" address add 10.99.7.2/24 dev "m$$b"
for node in 0 1; do
    ip -n "$name-$node" link set lo up
done
ip -n "$name-0" link set "m$$a" up
ip -n "$name-1" link set "m$$b" up

export FIRST=10.99.7.1
for node in 0 1; do
    mkdir -p "$folder/$node"
    (
        NODE=$node RAY_TMPDIR=$folder/$node ip netns exec "$name-$node" \
            unshare --pid --fork --mount-proc --kill-child "$@" >"$folder/log-$node" 2>&1
        echo $? >"$folder/status-$node"
    ) &
done
wait

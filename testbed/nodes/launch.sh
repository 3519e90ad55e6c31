#!/bin/bash
# A machine is switched on: it gets a cable to the gateway, and node.sh as the first process of namespaces of its own.
# Started in a network namespace of its own.
# GATEWAY (a pid), BRIDGE, NAME, ADDRESS, RATE (of its downloads): from the environment.
set -euo pipefail
gateway() { nsenter --net="/proc/$GATEWAY/ns/net" "$@"; }
ip link set lo up
# The cable of a machine that died a moment ago may still be there.
gateway ip link del "$NAME" 2>/dev/null || true
ip link add eth0 type veth peer name "$NAME" netns "$GATEWAY"
gateway ip link set "$NAME" master "$BRIDGE" up
gateway tc qdisc add dev "$NAME" root tbf rate "$RATE" burst 1mb latency 50ms
ip addr add "$ADDRESS/16" dev eth0
ip link set eth0 up
exec unshare --mount --pid --uts --ipc --fork --kill-child=KILL --mount-proc bash "$(dirname "$0")/node.sh"

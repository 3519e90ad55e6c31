#!/bin/bash
# A machine's first process. When it dies, the kernel ends everything of the machine: processes, mounts, its network.
# NAME, ADDRESS, DIRECTORY (its disk), KUBELET, PATH, CGROUPS (folders), HIERARCHIES (those of version 1:
# folder=options): from the environment.
set -euo pipefail
if [ "${1:-}" != inside ]; then
  for folder in $CGROUPS; do echo 0 >"$folder/cgroup.procs"; done # 0: who writes it
  exec unshare --cgroup bash "$0" inside
fi
mount --make-rprivate /
hostname "$NAME"
mkdir -p "$DIRECTORY"/{var/{lib,log,tmp},kernel}
ln -sfn /run "$DIRECTORY/var/run"
mount -t tmpfs -o mode=755 tmpfs /run

# kubelet would change the kernel of the whole machine, which no setting forbids: it finds what it wants in files of its
# own, and cannot write to the rest. Only the settings of the machine's own network stay as they are.
mkdir /run/net
mount --bind /proc/sys/net /run/net
mount --bind /proc/sys /proc/sys
mount -o remount,ro,bind /proc/sys
mount --move /run/net /proc/sys/net
while read -r setting value; do
  file="$DIRECTORY/kernel/$(basename "$setting")"
  echo "$value" >"$file"
  mount --bind "$file" "/proc/sys/$setting"
done <<END
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
END

# The cgroup that it was started in is the root of all that it sees.
if [ -n "$HIERARCHIES" ]; then
  mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
  for each in $HIERARCHIES; do
    mkdir "/sys/fs/cgroup/${each%%=*}"
    mount -t cgroup -o "${each#*=}" cgroup "/sys/fs/cgroup/${each%%=*}"
  done
else
  umount --lazy /sys/fs/cgroup # else it is mounted there already, only with another root
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  mkdir -p /sys/fs/cgroup/machine # who has children with controllers may have no processes
  echo 0 >/sys/fs/cgroup/machine/cgroup.procs
  sed 's/\(\S\+\)/+\1/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
fi

mount --rbind "$DIRECTORY/var" /var
mount --make-rprivate /var
export TMPDIR=/var/tmp
containerd --config "$DIRECTORY/containerd.toml" &
until [ -S /run/containerd/containerd.sock ]; do sleep 0.05; done
while true; do # as an init system would
  "$KUBELET" --config="$DIRECTORY/kubelet.yaml" --kubeconfig="$DIRECTORY/kubeconfig" --hostname-override="$NAME" \
    --node-ip="$ADDRESS" --root-dir=/var/lib/kubelet --cert-dir=/var/lib/kubelet/pki || echo "kubelet ended: $?"
  sleep 0.2
done &
wait -n

# The part of `cluster` that makes a node with real pods. Sourced by it, never run alone.
# Everything of the node lives in a network namespace, so that it cannot disturb the machine.
# shellcheck shell=bash
NODE_IP=10.99.0.1            # exists inside the namespace only
POD_RANGE=10.88.0.0/16

# What Debian has, by a program or a file that shows that it is there.
NODE_PACKAGES=(containerd:containerd ctr:containerd runc:runc ip:iproute2 iptables:iptables nft:nftables nsenter:util-linux sysctl:procps
  gcc:gcc /usr/include/stdlib.h:libc6-dev /usr/lib/cni/bridge:containernetworking-plugins /usr/lib/cni/host-local:containernetworking-plugins)

missing_packages() {
  local pair sign
  for pair in "${NODE_PACKAGES[@]}"; do
    sign=${pair%%:*}
    [ -f "$sign" ] || command -v "$sign" >/dev/null || printf '%s\n' "${pair##*:}"
  done | sort -u
}

# Where something is missing that cannot be installed, one line says what and why.
node_tools() {
  [ "$(uname -s)" = Linux ] || die "a node with pods needs Linux"
  [ "$(id -u)" = 0 ] || die "a node with pods needs root: it makes a network namespace, mounts and cgroups"
  [ ! -e /run/systemd/system ] || ! systemctl -q is-active kubelet 2>/dev/null || die "this machine is a node already: two kubelets would share its cgroups"
  local packages; packages=$(missing_packages | paste -sd ' ')
  [ -n "$packages" ] || return 0
  command -v apt-get >/dev/null || die "these are missing, and there is no apt-get to install them: $packages"
  say "missing, so now: apt-get install $packages"
  # Debian would start a containerd for the whole machine; ours has its own files.
  # shellcheck disable=SC2086
  { apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $packages; } > "$CLUSTER_HOME/apt.log" 2>&1 < /dev/null \
    || die "missing, and apt-get install $packages fails: $(tail -1 "$CLUSTER_HOME/apt.log")"
  rm -f "$CLUSTER_HOME/apt.log"
}

can_node() {
  build_needs_go
  node_tools
  no_other_node
  local why; why=$("$HERE/trial" "$CLUSTER_HOME" 2>&1) || die "this machine does not let us have a node: $why"
}

no_other_node() {
  [ ! -f "$STATE/in-netns" ] || return 0      # ours, which ends before another begins
  [ -z "$(ip netns pids $NETNS 2>/dev/null)" ] || die "there is a node already, of another CLUSTER_HOME, and they would share cgroups: its own \`cluster down\` ends it"
  ip netns del $NETNS 2>/dev/null || true
}

# What the kubelet changes for the whole machine, and folders that our programs make outside of ours.
MACHINE_SETTINGS=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes)
MACHINE_FOLDERS=(/var/lib/kubelet /var/lib/cni /var/log/containers /run/containerd)

remember_machine() {
  sysctl -e "${MACHINE_SETTINGS[@]}" > "$STATE/machine-settings" 2>/dev/null || true
  local folder; for folder in "${MACHINE_FOLDERS[@]}"; do [ -e "$folder" ] || printf '%s\n' "$folder"; done > "$STATE/machine-folders"
}

restore_machine() {
  [ ! -f "$STATE/machine-settings" ] || sysctl -qp "$STATE/machine-settings" || true
  rm -f "/var/lib/cni/results/$NETNS-"* /var/lib/kubelet/device-plugins/kubelet.sock
  [ ! -d /var/log/containers ] || find /var/log/containers -lname "$STATE/*" -delete
  local folder
  [ ! -f "$STATE/machine-folders" ] || while read -r folder; do
    [ ! -d "$folder" ] || find "$folder" -depth -type d -empty -delete
  done < "$STATE/machine-folders"
  # Those that are empty: another kubelet's pods are none of ours.
  find /sys/fs/cgroup/kubepods /sys/fs/cgroup/*/kubepods -depth -type d -exec rmdir {} + 2>/dev/null || true
}

up_node() {
  node_tools
  build node; down
  no_other_node
  mkdir -p "$STATE/cni"; touch "$STATE/in-netns"
  remember_machine
  local enter=(nsenter --net=/run/netns/$NETNS)      # not 'ip netns exec': that hides /sys/fs/cgroup
  node_network "${enter[@]}"
  ETCD=2379 PEER=2380 PORT=6443 BIND=0.0.0.0 ADVERTISE=$NODE_IP RECONCILER=lease CONTROLLERS='*'
  APISERVER_NAMES=$APISERVER_NAMES,IP:$NODE_IP
  identities "https://$NODE_IP:6443"
  user kubelet /O=system:nodes/CN=system:node:node1 "https://$NODE_IP:6443"
  user scheduler /CN=system:kube-scheduler "https://$NODE_IP:6443"
  user proxy /CN=system:kube-proxy "https://$NODE_IP:6443"
  node_settings
  control_plane "${enter[@]}" || die "$FAILED stopped: $(tail -1 "$STATE/$FAILED.log")"
  addresses > "$STATE/env"
  start containerd "${enter[@]}" containerd -c "$STATE/containerd.toml"
  pause_image > "$STATE/pause.tar"
  for _ in $(seq 300); do ctr -a "$STATE/containerd.sock" version >/dev/null 2>&1 && break; sleep 0.1; done
  load "$STATE/pause.tar"
  controllers
  start scheduler "${enter[@]}" "$BIN/kube-scheduler" --kubeconfig "$STATE/scheduler.kubeconfig" --leader-elect=false --bind-address 127.0.0.1
  start kubelet "${enter[@]}" "$BIN/kubelet" --kubeconfig "$STATE/kubelet.kubeconfig" --config "$STATE/kubelet.yaml" --root-dir "$STATE/kubelet" \
    --cert-dir "$STATE/kubelet-pki" --hostname-override node1 --node-ip $NODE_IP
  start proxy "${enter[@]}" "$BIN/kube-proxy" --config "$STATE/proxy.yaml"
  for _ in $(seq 240); do
    if kubectl get node node1 2>/dev/null | grep -q ' Ready'; then cat "$STATE/env"; return; fi
    sleep 0.5
  done
  die "the node is not Ready after 120 s: see $STATE/kubelet.log"
}

node_network() { # prefix...
  ip netns add $NETNS
  "$@" ip link set lo up
  "$@" ip link add node0 type bridge        # the kernel may have no dummy device
  "$@" ip addr add $NODE_IP/24 dev node0
  "$@" ip link set node0 up
  "$@" ip route add default via $NODE_IP dev node0
  "$@" sysctl -qw net.ipv4.ip_forward=1
}

node_settings() {
  cat > "$STATE/containerd.toml" <<CONF
version = 2
root = "$STATE/containerd/root"
state = "$STATE/containerd/run"
[grpc]
  address = "$STATE/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$STATE/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "strongroom.test/pause:1"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true     # a machine may not let us lower oom_score_adj
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "$STATE/containerd/runc"
CONF
  cat > "$STATE/cni/10-pods.conflist" <<CONF
{"cniVersion":"0.4.0","name":"$NETNS","plugins":[{"type":"bridge","bridge":"cni0","isGateway":true,"hairpinMode":true,
 "ipam":{"type":"host-local","dataDir":"$STATE/cni/addresses","ranges":[[{"subnet":"$POD_RANGE"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
CONF
  cat > "$STATE/kubelet.yaml" <<CONF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, x509: {clientCAFile: $PKI/ca.crt}, webhook: {enabled: true}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
containerRuntimeEndpoint: unix://$STATE/containerd.sock
clusterDomain: cluster.local
clusterDNS: [10.0.0.10]
resolvConf: ""
podLogsDir: $STATE/pods
volumePluginDir: $STATE/kubelet/plugins
evictionHard: {memory.available: "50Mi", nodefs.available: "200Mi", imagefs.available: "200Mi"}
imageGCHighThresholdPercent: 100      # on a disk that is rather full it would delete images, and there is no registry to get them from
imageGCLowThresholdPercent: 99
syncFrequency: 5s
configMapAndSecretChangeDetectionStrategy: Watch
CONF
  cat > "$STATE/proxy.yaml" <<CONF
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $STATE/proxy.kubeconfig}
mode: nftables
clusterCIDR: $POD_RANGE
hostnameOverride: node1
nodePortAddresses: ["127.0.0.0/8"]
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
CONF
}

pause_image() { gcc -static -Os -o "$STATE/pause" "$HERE/pause.c"; python3 "$HERE/../image/image.py" strongroom.test/pause:1 '["/pause"]' "$STATE/pause:/pause"; }
load() { ctr -a "$STATE/containerd.sock" -n k8s.io images import "$1" >/dev/null; }

node_down() {
  local target
  if [ -S "$STATE/containerd.sock" ]; then
    for target in $(ctr -a "$STATE/containerd.sock" -n k8s.io containers ls -q 2>/dev/null || true); do
      ctr -a "$STATE/containerd.sock" -n k8s.io tasks delete -f "$target" >/dev/null 2>&1 || true
      rm -f /var/lib/cni/results/*-"$target"-*
    done
    stop 10 containerd
  fi
  kill_rest
  awk -v root="$STATE/" 'index($2, root) == 1 {print $2}' /proc/mounts | sort -r | while read -r target; do umount "$target" || umount -l "$target"; done
  ip netns del $NETNS 2>/dev/null || true
  restore_machine
}

# Whoever started us may have been interrupted, so not all that it began is written down: whatever else runs in the node's
# network, but not we and those who wait for us, and whatever has an image of ours for its root.
kill_rest() {
  local waiting=" " pid=$$ rest
  while [ "$pid" -gt 1 ]; do waiting+="$pid "; pid=$(awk '/^PPid:/ {print $2}' "/proc/$pid/status"); done
  for _ in 1 2 3 4 5; do
    rest=$(ours_still | while read -r pid; do [[ $waiting == *" $pid "* ]] || printf '%s\n' "$pid"; done)
    [ -n "$rest" ] || return 0
    # shellcheck disable=SC2086
    kill -9 $rest 2>/dev/null || true
    sleep 0.1
  done
}

ours_still() { # without those that have ended and wait to be asked how
  local pid
  { ip netns pids $NETNS; grep -ls "^overlay / .*=$STATE/" /proc/[0-9]*/mounts | cut -d/ -f3; } 2>/dev/null | sort -u |
    while read -r pid; do [ ! -e "/proc/$pid/exe" ] || printf '%s\n' "$pid"; done || true
}

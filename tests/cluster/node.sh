# The part of `cluster` that makes a node with real pods. Sourced by it, never run alone.
# Everything of the node lives in a network namespace, so that it cannot disturb the machine.
# shellcheck shell=bash
NODE_IP=10.99.0.1            # exists inside the namespace only
POD_RANGE=10.88.0.0/16

# What Debian has, by the program that shows that it is there.
NODE_PACKAGES=(containerd:containerd ctr:containerd runc:runc ip:iproute2 iptables:iptables nft:nftables nsenter:util-linux
  gcc:gcc /usr/lib/cni/bridge:containernetworking-plugins /usr/lib/cni/host-local:containernetworking-plugins)

missing_packages() {
  local pair; for pair in "${NODE_PACKAGES[@]}"; do command -v "${pair%%:*}" >/dev/null || printf '%s\n' "${pair##*:}"; done | sort -u
}

# Nothing is said if all is there or could be installed; else one line says what is missing, and why.
node_tools() { # [ask]: only looks
  [ "$(uname -s)" = Linux ] || die "a node with pods needs Linux"
  [ "$(id -u)" = 0 ] || die "a node with pods needs root: it makes a network namespace, mounts and cgroups"
  [ ! -e /run/systemd/system ] || ! systemctl -q is-active kubelet 2>/dev/null || die "this machine is a node already: two kubelets would share its cgroups"
  local packages; packages=$(missing_packages)
  [ -n "$packages" ] || return 0
  command -v apt-get >/dev/null || die "missing, and there is no apt-get to install it: ${packages//$'\n'/ }"
  if [ "${1:-}" = ask ]; then return 0; fi
  say "installing ${packages//$'\n'/ }"
  # Debian would start a containerd for the whole machine; ours has its own files.
  # shellcheck disable=SC2086
  { apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $packages; } >&2 \
    || die "apt-get could not install ${packages//$'\n'/ }"
}

up_node() {
  node_tools
  build node; down
  [ ! -e "/run/netns/$NETNS" ] || die "there is a node already, of another CLUSTER_HOME: they would share cgroups. Its own \`cluster down\` ends it"
  mkdir -p "$STATE/cni"; touch "$STATE/in-netns"
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
  for _ in $(seq 100); do ctr -a "$STATE/containerd.sock" version >/dev/null 2>&1 && break; sleep 0.1; done
  load "$STATE/pause.tar"
  controllers
  start scheduler "${enter[@]}" "$BIN/kube-scheduler" --kubeconfig "$STATE/scheduler.kubeconfig" --leader-elect=false --bind-address 127.0.0.1
  start kubelet "${enter[@]}" "$BIN/kubelet" --kubeconfig "$STATE/kubelet.kubeconfig" --config "$STATE/kubelet.yaml" --root-dir "$STATE/kubelet" \
    --cert-dir "$STATE/kubelet-pki" --hostname-override node1 --node-ip $NODE_IP
  start proxy "${enter[@]}" "$BIN/kube-proxy" --config "$STATE/proxy.yaml"
  for _ in $(seq 120); do
    if kubectl get node node1 2>/dev/null | grep -q ' Ready'; then cat "$STATE/env"; return; fi
    sleep 0.5
  done
  die "the node is not Ready after 60 s: see $STATE/kubelet.log"
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
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "strongroom.test/pause:1"
  netns_mounts_under_state_dir = true
  restrict_oom_score_adj = true     # a machine may not let us lower oom_score_adj
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
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
evictionHard: {memory.available: "50Mi", nodefs.available: "1%", imagefs.available: "1%"}
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
  awk -v root="$STATE/" 'index($2, root) == 1 {print $2}' /proc/mounts | sort -r | while read -r target; do umount "$target" || umount -l "$target"; done
  ip netns del $NETNS 2>/dev/null || true
  # What the network plugins and the kubelet keep outside of our folder.
  rm -f /var/lib/cni/results/$NETNS-*
  find /sys/fs/cgroup -depth -type d -path '*/kubepods*' -exec rmdir {} + 2>/dev/null || true      # those that are empty
}

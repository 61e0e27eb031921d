# The part of `cluster` that makes a node with real pods. Sourced by it, never run alone.
# Everything of the node lives in a network namespace, so that it cannot disturb the machine.
# shellcheck shell=bash
NODE_IP=10.99.0.1            # exists inside the namespace only
POD_RANGE=10.88.0.0/16

up_node() {
  local tool; for tool in containerd runc ctr nsenter ip nft gcc; do command -v $tool >/dev/null || die "$tool is missing: see the head of $HERE/cluster"; done
  build node; down; mkdir -p "$STATE/cni"
  ls /run/netns 2>/dev/null > "$STATE/in-netns" || true
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
  restrict_oom_score_adj = true     # a machine may not let us lower oom_score_adj
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
CONF
  cat > "$STATE/cni/10-pods.conflist" <<CONF
{"cniVersion":"0.4.0","name":"pods","plugins":[{"type":"bridge","bridge":"cni0","isGateway":true,"hairpinMode":true,
 "ipam":{"type":"host-local","ranges":[[{"subnet":"$POD_RANGE"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
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
  local target name
  if [ -S "$STATE/containerd.sock" ]; then
    for target in $(ctr -a "$STATE/containerd.sock" -n k8s.io containers ls -q 2>/dev/null || true); do
      ctr -a "$STATE/containerd.sock" -n k8s.io tasks delete -f "$target" >/dev/null 2>&1 || true
    done
    stop 10 containerd
  fi
  awk -v root="$STATE/" 'index($2, root) == 1 {print $2}' /proc/mounts | sort -r | while read -r target; do umount "$target" || umount -l "$target"; done
  # Pods killed with the node leave their namespaces behind.
  for name in $(ls /run/netns 2>/dev/null | grep -E "^(cni-|$NETNS\$)" | grep -vxFf "$STATE/in-netns" || true); do ip netns del "$name" 2>/dev/null || true; done
}

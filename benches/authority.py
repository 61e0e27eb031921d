"""An authority with a P-256 key in Strongroom's store, made as people make one: a resource, on a control plane that is
thrown away again. The server that is measured needs no cluster to sign by it."""
import json

from clusters import Throwaway
from demo import Story
from process import Strongroom as Operator
from stage import NotSeen

NAMESPACE = "bench"
WANTED = {
    "apiVersion": "strongroom.dev/v1alpha1", "kind": "CertificateAuthority",
    "metadata": {"name": "root", "namespace": NAMESPACE}, "spec": {"subject": {"commonName": "bench"}, "validity": "168h"},
}


def make(server):
    """What callers of Confidant's API call it. The server must not run."""
    cluster = Throwaway(server.work)
    if cluster.prepare().wait():
        raise NotSeen("the control plane could not be built")
    operator = Operator(server.binary, server.work, cluster)
    try:
        cluster.up()
        Story(cluster, operator, server.work).install()
        cluster.kubectl("create", "namespace", NAMESPACE)
        cluster.kubectl("apply", "-f", "-", stdin=json.dumps(WANTED))
        cluster.kubectl("wait", "--for=condition=Ready", "--timeout=30s", "-n", NAMESPACE, "certificateauthority/root")
    finally:
        operator.stop()
        cluster.down()
    return f"{NAMESPACE}.root"

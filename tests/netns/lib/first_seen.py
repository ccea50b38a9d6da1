"""When a connection began for the routers: the kernel's own note in its table, not the clock of the tool that made it.

Between the two lie the queues of a machine that all hosts of a test share."""
import time
import xml.etree.ElementTree


class FirstSeen:
    """Asks both routers. A replica is younger than its original, so the older of two notes counts."""

    def __init__(self, routers):
        self._routers = routers
        for router in routers:
            router.namespace.sysctl("net.netfilter.nf_conntrack_timestamp", 1)

    def of(self, client, port):
        """CLOCK_MONOTONIC, ns, of the first packet that a router let through; None when no router knows of any.
        Clocks that were set between the packet and the question would be mistaken for time."""
        since_epoch = time.time_ns() - time.monotonic_ns()
        moments = [moment for router in self._routers for moment in starts(router, client, port)]
        return min(moments) - since_epoch if moments else None


def starts(router, client, port):
    listing = router.namespace.run(
        ["conntrack", "-L", "-p", "tcp", "--orig-src", client, "--orig-port-src", str(port)]
        + ["-o", "xml,ktimestamp"]
    ).stdout
    if not listing.strip():
        return []
    return [int(start.text) for start in xml.etree.ElementTree.fromstring(listing).iter("start")]

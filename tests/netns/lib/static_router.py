"""A plain nft router without any failover: what the tools are proved with."""
from .network import LAN_PREFIX, LAN_VIRTUAL, WAN_VIRTUAL


def load_table(router, mapping="fully-random"):
    flag = " fully-random" if mapping == "fully-random" else ""
    router.namespace.nft(
        f"""
table ip plain {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname eth0 ip saddr {LAN_PREFIX} snat to {WAN_VIRTUAL}{flag}
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname eth0 ct state established accept
    iifname eth0 drop
    iifname eth2 ct state invalid drop
  }}
}}
"""
    )


def take_addresses(router):
    """The virtual addresses, and everybody is told."""
    router.namespace.ip(f"addr add {WAN_VIRTUAL}/24 dev eth0", f"addr add {LAN_VIRTUAL}/24 dev eth2")
    for interface, address in (("eth0", WAN_VIRTUAL), ("eth2", LAN_VIRTUAL)):
        router.namespace.run(
            ["arping", "-q", "-U", "-c", "1", "-w", "1", "-I", interface, address], check=False
        )

firewall {
    interface eth0 {
        in {
            ipv6-name WAN6
            name WAN
        }
        local {
            name WAN
        }
    }
    ipv6-name WAN6 {
        default-action drop
        rule 10 {
            action accept
            protocol ipv6-icmp
            icmpv6 {
                type-name packet-too-big
            }
        }
        rule 20 {
            action queue
        }
    }
    name WAN {
        default-action reject
        rule 10 {
            action accept
            state established
            state related
        }
        rule 20 {
            action accept
            protocol icmp
            icmp {
                type-name fragmentation-needed
            }
            source {
                fqdn example.org
            }
        }
        rule 30 {
            action jump
            jump-target OTHER
        }
        rule 40 {
            action drop
            time {
                weekdays Sat,Sun
            }
        }
    }
}
nat {
    source {
        rule 10 {
            outbound-interface {
                interface-name eth0
            }
            source {
                address 192.168.7.0/24
            }
            translation {
                address 198.51.100.10-198.51.100.12
                port 2000-3000
            }
        }
        rule 20 {
            disable
            outbound-interface eth0
            translation {
                address masquerade
            }
        }
    }
    destination {
        rule 10 {
            destination {
                address 198.51.100.0/24
            }
            inbound-interface eth0
            translation {
                address 192.168.7.0/24
            }
        }
        rule 20 {
            inbound-interface eth0
            protocol tcp
            destination {
                port 1000
            }
            translation {
                redirect {
                    port 2000
                }
            }
        }
    }
}

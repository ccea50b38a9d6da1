interfaces {
    ethernet eth1 {
        address 203.0.113.13/24
        firewall {
            in {
                name WAN_IN
            }
        }
    }
    ethernet eth0 {
        address 192.168.1.4/24
    }
    ethernet eth7 {
        address 10.255.0.2/30
    }
}
firewall {
    name WAN_IN {
        default-action drop
        rule 10 {
            action accept
            state {
                established enable
                related enable
            }
        }
    }
}
high-availability {
    vrrp {
        group wan {
            advertise-interval 2
            interface eth1
            no-preempt
            priority 150
            virtual-address 203.0.113.10/24
            vrid 10
        }
        group lan {
            advertise-interval 2
            interface eth0
            no-preempt
            priority 150
            virtual-address 192.168.1.1/24
            vrid 20
        }
        sync-group MAIN {
            member lan
            member wan
        }
    }
}
nat {
    destination {
        rule 10 {
            destination {
                port 443
            }
            inbound-interface eth1
            protocol tcp
            translation {
                address 192.168.1.10
            }
        }
    }
    source {
        rule 100 {
            outbound-interface eth1
            source {
                address 192.168.1.0/24
            }
            translation {
                address 203.0.113.10
                options {
                    address-mapping persistent
                    port-mapping fully-random
                }
            }
        }
    }
}
service {
    conntrack-sync {
        failover-mechanism {
            vrrp {
                sync-group MAIN
            }
        }
        interface eth7 {
            peer 10.255.0.1
        }
        listen-address 10.255.0.2
    }
}
system {
    host-name edge2
}

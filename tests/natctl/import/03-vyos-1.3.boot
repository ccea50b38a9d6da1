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
        group lan {
            advertise-interval 2
            interface eth1
            no-preempt
            priority 200
            virtual-address 192.168.1.1/24
            vrid 20
        }
        group wan {
            advertise-interval 2
            authentication {
                password secret
                type plaintext-password
            }
            interface eth0
            no-preempt
            priority 200
            transition-script {
                master "/config/scripts/become-master.sh"
            }
            virtual-address 203.0.113.10/24
            vrid 10
        }
        sync-group MAIN {
            member lan
            member wan
            transition-script {
                stop /config/scripts/stop.sh
            }
        }
    }
}
interfaces {
    ethernet eth0 {
        address 203.0.113.11/24
        firewall {
            in {
                name WAN_IN
            }
        }
    }
    ethernet eth1 {
        address 192.168.1.2/24
    }
    ethernet eth2 {
        address 10.255.0.1/30
    }
}
nat {
    destination {
        rule 10 {
            destination {
                port 443
            }
            inbound-interface eth0
            protocol tcp
            translation {
                address 192.168.1.10
            }
        }
    }
    source {
        rule 100 {
            outbound-interface eth0
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
        accept-protocol tcp
        accept-protocol udp
        failover-mechanism {
            vrrp {
                sync-group MAIN
            }
        }
        interface eth2 {
            peer 10.255.0.2
        }
        listen-address 10.255.0.1
    }
}
system {
    conntrack {
        table-size 1048576
        tcp {
            loose disable
        }
    }
    host-name edge1
}

// Warning: Do not remove the following line.
// vyos-config-version: "conntrack-sync@2:firewall@7:nat@5:vrrp@3"

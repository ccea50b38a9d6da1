interfaces {
    ethernet eth0 {
        address 10.10.0.103/24
        description "to the internet"
        firewall {
            in {
                name internet_to_protected
            }
        }
        vrrp {
            vrrp-group 1 {
                advertise-interval 1
                preempt true
                priority 100
                sync-group MAIN-GW
                virtual-address 10.10.0.101
            }
        }
    }
    ethernet eth1 {
        address 10.10.10.3/24
        description "router to router"
    }
    ethernet eth2 {
        address 192.168.100.3/24
        description "the protected network"
        firewall {
            in {
                name protected_to_internet
            }
        }
        vrrp {
            vrrp-group 2 {
                advertise-interval 1
                preempt true
                priority 100
                sync-group MAIN-GW
                virtual-address 192.168.100.1
            }
        }
    }
    loopback lo {
    }
}
firewall {
    name internet_to_protected {
        default-action drop
        rule 10 {
            action accept
            state {
                established enable
            }
        }
    }
    name protected_to_internet {
        default-action accept
        rule 10 {
            action drop
            state {
                invalid enable
            }
        }
    }
}
service {
    conntrack-sync {
        failover-mechanism {
            vrrp {
                sync-group MAIN-GW
            }
        }
        interface eth1
    }
    nat {
        rule 10 {
            description SNAT
            outbound-interface eth0
            outside-address {
                address 10.10.0.101
            }
            source {
                address 192.168.100.0/24
            }
            type source
        }
    }
    ssh {
        port 22
        protocol-version v2
    }
}
system {
    gateway-address 10.10.0.1
    host-name R2
}
/* Warning: Do not remove the following line. */
/* === vyatta-config-version: "conntrack-sync@1:firewall@3:nat@3:system@3:vrrp@1" === */

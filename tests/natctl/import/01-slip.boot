interfaces {
    ethernet eth0 {
        address 10.10.0.103/24
        vrrp {
            vrrp-group 3 {
                advertise-interval 2
                authentication {
                    password swordfish
                    type plaintext-password
                }
                preempt false
                priority 100
                sync-group MAIN-GW
                virtual-address 10.10.0.101
            }
        }
    }
    ethernet eth1 {
        address 10.10.10.3/24
    }
    ethernet eth2 {
        address 192.168.200.3/24
        vrrp {
            vrrp-group 2 {
                preempt true
                priority 100
                sync-group MAIN-GW
                virtual-address 192.168.100.1
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
                address 192.168.200.0/24
            }
            type source
        }
        rule 20 {
            outbound-interface eth0
            type masquerade
        }
    }
}
system {
    host-name R1
}

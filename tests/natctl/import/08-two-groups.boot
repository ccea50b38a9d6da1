interfaces {
    ethernet eth0 {
        address 203.0.113.11/24
        vrrp {
            vrrp-group 1 {
                priority 200
                sync-group A
                virtual-address 203.0.113.1/24
            }
            vrrp-group 2 {
                priority 100
                sync-group B
                virtual-address 203.0.113.2/24
            }
        }
    }
    ethernet eth1 {
        address 192.168.1.11/24
        vrrp {
            vrrp-group 11 {
                priority 200
                sync-group A
                virtual-address 192.168.1.1/24
            }
        }
    }
    ethernet eth2 {
        address 192.168.2.11/24
        vrrp {
            vrrp-group 12 {
                priority 100
                sync-group B
                virtual-address 192.168.2.1/24
            }
        }
    }
    ethernet eth3 {
        address 10.255.0.1/30
    }
}
nat {
    source {
        rule 10 {
            outbound-interface eth0
            source {
                address 192.168.1.0/24
            }
            translation {
                address 203.0.113.1
            }
        }
        rule 20 {
            outbound-interface eth0
            source {
                address 192.168.2.0/24
            }
            translation {
                address 203.0.113.2
            }
        }
    }
}
service {
    conntrack-sync {
        failover-mechanism {
            vrrp {
                sync-group A
            }
        }
        interface eth3
    }
}
system {
    host-name left
}

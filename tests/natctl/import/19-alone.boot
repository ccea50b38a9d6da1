interfaces {
    ethernet eth0 {
        address 203.0.113.2/24
        vrrp {
            vrrp-group 10 {
                virtual-address 203.0.113.1
            }
        }
    }
    ethernet eth1 {
        address 192.168.1.2/24
        vrrp {
            vrrp-group 11 {
                advertise-interval 3
                priority 120
                virtual-address 192.168.1.1
            }
        }
    }
}
service {
    nat {
        rule 1 {
            outbound-interface eth0
            type masquerade
        }
        rule 2 {
            inbound-interface eth0
            type destination
            protocol tcp_udp
            destination {
                port domain
            }
            inside-address {
                address 192.168.1.53
            }
        }
    }
}

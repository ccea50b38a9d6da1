firewall {
    all-ping enable
    broadcast-ping disable
    conntrack-table-size 262144
    group {
        address-group SERVERS {
            address 192.168.100.5
            address 192.168.100.7-192.168.100.9
            description "what serves"
        }
        network-group SERVERS {
            network 192.168.101.0/24
        }
        network-group EMPTY {
            description "nothing yet"
        }
        port-group WEB {
            port 80
            port https
            port 8000-8099
            port nosuchservice
        }
    }
    name FROM_WAN {
        default-action drop
        description "what may come in, \"if at all\""
        enable-default-log
        rule 10 {
            action accept
            state {
                established enable
                related enable
                new disable
            }
        }
        rule 20 {
            action accept
            destination {
                group {
                    address-group SERVERS
                    port-group WEB
                }
            }
            log enable
            protocol tcp
            tcp {
                flags SYN,!ACK,!FIN,!RST
            }
        }
        rule 30 {
            action accept
            icmp {
                type-name ping
            }
            limit {
                burst 10
                rate 5/sec
            }
            protocol icmp
        }
        rule 31 {
            action accept
            icmp {
                code 4
                type 3
            }
        }
        rule 40 {
            action drop
            protocol tcp
            destination {
                port 22,telnet,1001-1005
            }
            recent {
                count 4
                time 60
            }
            source {
                address !10.0.0.0/8
            }
        }
        rule 50 {
            action inspect
            source {
                mac-address 00:53:00:12:34:56
            }
        }
        rule 60 {
            action accept
            destination {
                address 192.168.100.5
                group {
                    address-group SERVERS
                }
            }
        }
        rule 70 {
            action reject
            disable
            protocol !udp
        }
        rule 80 {
            action accept
            source {
                group {
                    network-group EMPTY
                }
            }
        }
        rule 90 {
            action accept
            protocol all
            destination {
                port 99
            }
        }
    }
    ipv6-name FROM_WAN {
        default-action reject
        rule 10 {
            action accept
            icmpv6 {
                type neighbor-solicitation
            }
        }
        rule 20 {
            action accept
            source {
                address 2001:db8::/32
            }
        }
    }
    send-redirects disable
    state-policy {
        invalid {
            action drop
            log enable
        }
    }
}
interfaces {
    bonding bond0 {
        hash-policy layer2
        mode 802.3ad
        vif 100 {
            address 192.168.100.2/24
            vrrp {
                vrrp-group 20 {
                    priority 150
                    run-transition-scripts {
                        backup "relative.sh"
                        master /config/scripts/master.sh
                    }
                    sync-group SG
                    virtual-address 192.168.100.1/24
                }
                vrrp-group 21 {
                    disable
                    virtual-address 192.168.100.250
                }
            }
        }
    }
    ethernet eth0 {
        address 203.0.113.2/24
        address 2001:db8::2/64
        duplex auto
        firewall {
            in {
                ipv6-name FROM_WAN
                name FROM_WAN
            }
            local {
                name NO_SUCH_SET
            }
        }
        hw-id 00:53:00:aa:bb:cc
        vrrp {
            vrrp-group 10 {
                advertise-interval 1
                preempt false
                preempt-delay 30
                priority 150
                rfc3768-compatibility
                sync-group SG
                virtual-address 203.0.113.1/24
            }
        }
    }
    ethernet eth1 {
        address dhcp
    }
    ethernet eth2 {
        address 10.9.0.1/30
    }
}
service {
    conntrack-sync {
        accept-protocol tcp,udp,icmp
        event-listen-queue-size 8
        expect-sync ftp
        failover-mechanism {
            vrrp {
                sync-group SG
            }
        }
        ignore-address {
            ipv4 203.0.113.2
        }
        interface eth2
        mcast-group 225.0.0.50
        sync-queue-size 1
    }
    nat {
        rule 5 {
            destination {
                address 172.16.0.0/12
            }
            exclude
            outbound-interface eth0
            source {
                address 192.168.100.0/24
            }
            type source
        }
        rule 10 {
            outbound-interface eth+
            source {
                address 192.168.100.0/24
            }
            type masquerade
        }
        rule 20 {
            destination {
                address 203.0.113.1
                port http
            }
            inbound-interface eth0
            inside-address {
                address 192.168.100.5
                port 8080
            }
            log enable
            protocol tcp
            type destination
        }
        rule 30 {
            outbound-interface any
            outside-address {
                address 198.51.100.0/24
            }
            source {
                address 192.168.102.0/24
            }
            type source
        }
        rule 40 {
            outbound-interface eth0
            outside-address {
                address 203.0.113.1
                port 20000-29999
            }
            protocol tcp_udp
            source {
                address 192.168.103.10-192.168.103.20
                port 1024-65535
            }
            type source
        }
        rule 50 {
            inbound-interface eth0
            protocol tcp
            type destination
        }
        rule 60 {
            outbound-interface eth0
            type nonsense
        }
    }
}
system {
    gateway-address 203.0.113.254
    host-name border.example.org
    login {
        user vyatta {
            level admin
        }
    }
    ntp-server 0.pool.example.org
}

service {
    conntrack-sync {
        failover-mechanism {
            cluster {
                group X
            }
        }
        interface eth1
    }
}

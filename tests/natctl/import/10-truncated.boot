interfaces {
    ethernet eth0 {
        address 10.0.0.1/24
        vrrp {
            vrrp-group 1 {
                virtual-address 10.0.0.100

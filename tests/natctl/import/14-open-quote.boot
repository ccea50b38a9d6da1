system {
    host-name "R1
}

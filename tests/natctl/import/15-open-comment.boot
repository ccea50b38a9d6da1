/* a remark
system {
}

#pragma once
// What the kernel says under /proc of how this machine is set up.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace common::io {

/// The value of "net.netfilter.nf_conntrack_max" or "net.ipv4.conf.eth0.100.rp_filter"; none when it cannot be read.
/// `root` stands before every path, here and below.
std::optional<std::string> sysctl(std::string_view name, const std::string& root = {});
/// The protocols that a helper of conntrack is loaded for ("ftp"), in order. Only modules show; none when the kernel
/// has no modules, so that nothing is known of them.
std::optional<std::vector<std::string>> conntrack_helpers(const std::string& root = {});

}  // namespace common::io

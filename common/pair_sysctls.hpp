#pragma once
// What of the kernel's settings both routers of a pair should have alike: each shows the other its own.
#include <string_view>

namespace common {

inline constexpr std::string_view kConntrackMax = "net.netfilter.nf_conntrack_max";
inline constexpr std::string_view kConntrackBuckets = "net.netfilter.nf_conntrack_buckets";
inline constexpr std::string_view kConntrackCount = "net.netfilter.nf_conntrack_count";
inline constexpr std::string_view kTcpLoose = "net.netfilter.nf_conntrack_tcp_loose";
inline constexpr std::string_view kPairSysctls[] = {kConntrackMax, kConntrackBuckets, kTcpLoose};

}  // namespace common

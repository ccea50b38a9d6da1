#pragma once
// Network namespaces of the test process's own, with connection tracking and translation switched on, a fresh
// one for each test; they are gone when the process ends. Tests that need it are skipped, with a word, where
// they are not run as root.
#include <sched.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

namespace test {

/// A ct rule registers connection tracking, and nat chains register translation: without them the kernel
/// takes the entries but does not translate them.
inline constexpr const char* kTable = R"(
table inet test {
  chain track { type filter hook prerouting priority -150; ct state invalid counter; }
  chain pre { type nat hook prerouting priority dstnat; }
  chain post { type nat hook postrouting priority srcnat; }
}
)";

inline bool shell(const std::string& command, const std::string& input = "") {
  FILE* pipe = popen(command.c_str(), "w");
  if (pipe == nullptr) return false;
  std::fwrite(input.data(), 1, input.size(), pipe);
  return pclose(pipe) == 0;
}

inline bool enter_namespace() {
  if (geteuid() != 0) {
    WARN("skipped: needs root");
    return false;
  }
  const bool entered = unshare(CLONE_NEWNET) == 0 && shell("ip link set lo up") && shell("nft -f -", kTable) &&
                       shell("cat > /proc/sys/net/netfilter/nf_conntrack_events", "1");
  if (!entered) WARN("skipped: no network namespace with nft can be made here");
  return entered;
}

}  // namespace test

// What the kernel says of the machine, from files that the test lays out.
#include "common/io/machine.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/common/scratch.hpp"

namespace {

void lay(const Scratch& root, const std::string& path, const std::string& text) {
  const std::filesystem::path full = root / path;
  std::filesystem::create_directories(full.parent_path());
  std::ofstream(full) << text;
}

}  // namespace

TEST_CASE("sysctls by their names, of interfaces with dots, too") {
  const Scratch root;
  lay(root, "proc/sys/net/netfilter/nf_conntrack_max", "262144\n");
  lay(root, "proc/sys/net/ipv4/conf/eth0.100/rp_filter", "2\n");
  CHECK(common::io::sysctl("net.netfilter.nf_conntrack_max", root.path) == "262144");
  CHECK(common::io::sysctl("net.ipv4.conf.eth0.100.rp_filter", root.path) == "2");
  CHECK_FALSE(common::io::sysctl("net.netfilter.nf_conntrack_buckets", root.path));
}

TEST_CASE("helpers of conntrack among the modules") {
  const Scratch root;
  CHECK_FALSE(common::io::conntrack_helpers(root.path));
  lay(root, "proc/modules",
      "nf_conntrack_tftp 16384 0 - Live 0x0\nnf_conntrack 172032 3 nf_conntrack_ftp, Live 0x0\n"
      "nf_conntrack_netlink 57344 0 - Live 0x0\nnf_conntrack_ftp 24576 1 nf_nat_ftp, Live 0x0\n");
  CHECK(common::io::conntrack_helpers(root.path) == std::vector<std::string>{"ftp", "tftp"});
  lay(root, "proc/modules", "");
  CHECK(common::io::conntrack_helpers(root.path) == std::vector<std::string>{});
}

// What a router shows of itself, from files that the test lays out.
#include "syncd/io/own_papers.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/common/scratch.hpp"

TEST_CASE("own papers: the file as it is now, sysctls, helpers, the time") {
  const Scratch root;
  std::filesystem::create_directories(root / "proc/sys/net/netfilter");
  std::ofstream(root / "proc/sys/net/netfilter/nf_conntrack_max") << "1000\n";
  std::ofstream(root / "proc/modules") << "nf_conntrack_sip 1 0 - Live 0x0\n";
  common::io::DaemonOptions options;
  options.config = root / "steadynat.yaml";
  common::Config config;
  config.node = "R1";
  config.digest = "abc";
  config.sync.emplace().key_file = root / "sync.key";
  const auto papers = [&] { return nlohmann::json::parse(syncd::io::collect_papers(options, config, root.path)); };
  CHECK(papers()["config"].is_null());
  CHECK(papers()["config_withheld"] == options.config + " cannot be read there");
  std::ofstream(root / "sync.key") << "c2VjcmV0\n";
  std::ofstream(options.config) << "version: 1 # \xff\npassword: hunter2\n";
  const auto shown = papers();
  CHECK_FALSE(shown.contains("config_withheld"));
  CHECK(shown.dump().find("hunter2") == std::string::npos);
  CHECK(shown.dump().find("c2VjcmV0") == std::string::npos);
  CHECK(shown["node"] == "R1");
  CHECK(shown["digest"] == "abc");
  CHECK(shown["config"].get<std::string>().starts_with("version: 1 # "));
  CHECK(shown["sysctls"] == nlohmann::json{{"net.netfilter.nf_conntrack_max", "1000"}});
  CHECK(shown["helpers"] == nlohmann::json{"sip"});
  CHECK(shown["time_ms"].get<std::int64_t>() > 1'700'000'000'000);
  config.sync->key_file.clear();
  CHECK(papers()["config"].is_null());
  CHECK(papers()["config_withheld"].get<std::string>().find("security: none") != std::string::npos);
  CHECK(papers()["digest"] == "abc");
}

TEST_CASE("the size of the kernel's table; half of it is none") {
  const Scratch root;
  std::filesystem::create_directories(root / "proc/sys/net/netfilter");
  const auto lay = [&](const char* name, const char* text) {
    std::ofstream(root / ("proc/sys/net/netfilter/nf_conntrack_" + std::string(name))) << text;
  };
  lay("count", "17\n");
  lay("max", "1000\n");
  CHECK_FALSE(syncd::io::measure_table(root.path));
  lay("buckets", "?\n");
  CHECK_FALSE(syncd::io::measure_table(root.path));
  lay("buckets", "250\n");
  CHECK(syncd::io::measure_table(root.path) == syncd::TableSize{17, 1000, 250});
}

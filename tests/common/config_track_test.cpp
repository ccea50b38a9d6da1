// What a group tracks: every key, and every mistake.
#include <catch2/catch.hpp>
#include <string>

#include "common/config.hpp"

namespace {

using namespace common;
using Kind = TrackConfig::Kind;

std::string with(const std::string& tracks, const std::string& more = "") {
  return "version: 1\n"
         "nodes:\n"
         "  R1: { interfaces: { wan: eth7 } }\n"
         "  R2: { interfaces: { wan: eth8 } }\n"
         "vrrp:\n"
         "  groups:\n"
         "    G:\n"
         "      instances: { i: { interface: wan, vrid: 1, virtual_addresses: [10.10.0.101/24] } }\n" +
         more + "      track: {" + tracks + "}\n";
}

std::string first_error(const std::string& text) {
  const LoadedConfig loaded = parse_config(text, "f", "R1");
  return loaded.diagnostics.empty() ? std::string() : loaded.diagnostics.front().to_string();
}

}  // namespace

TEST_CASE("what is tracked arrives, with the interface of the node") {
  const LoadedConfig loaded =
      parse_config(with(" link: { interface: wan, weight: 20 },\n"
                        "   uplink: { script: /bin/check, interval: 2s, timeout: 500ms, rise: 2, fall: 3, weight: 30, "
                        "user: nobody, arguments: [-c, 1] },\n"
                        "   health: { file: /run/health, interval: 100ms }, ppp: { process: pppd } ",
                        "      link_down_delay: 1s\n      link_up_delay: 5s\n"),
                   "f", "R2");
  REQUIRE(loaded.config.has_value());
  const GroupConfig& group = loaded.config->vrrp->groups.at(0);
  CHECK(group.link_down_delay == 1s);
  CHECK(group.link_up_delay == 5s);
  REQUIRE(group.tracks.size() == 4);
  CHECK(group.tracks[0] == TrackConfig{.name = "link", .kind = Kind::interface, .target = "eth8", .weight = 20});
  CHECK(group.tracks[1] == TrackConfig{.name = "uplink",
                                       .kind = Kind::script,
                                       .target = "/bin/check",
                                       .weight = 30,
                                       .interval = 2s,
                                       .timeout = 500ms,
                                       .rise = 2,
                                       .fall = 3,
                                       .arguments = std::vector<std::string>{"-c", "1"},
                                       .user = "nobody"});
  CHECK(
      group.tracks[2] ==
      TrackConfig{.name = "health", .kind = Kind::file, .target = "/run/health", .interval = 100ms, .timeout = 100ms});
  CHECK(group.tracks[3] == TrackConfig{.name = "ppp", .kind = Kind::process, .target = "pppd"});
}

TEST_CASE("mistakes in what is tracked") {
  const std::string at = "f:9:18: error: vrrp.groups.G.track.a: ";
  CHECK(first_error(with("a: { weight: 5 }")) == at + "give one of interface, script, file, process");
  CHECK(first_error(with("a: { script: /x, file: /y }")) == at + "give one of interface, script, file, process");
  CHECK(first_error(with("a: { file: /x, weight: 5 }")) ==
        at + "weight is for what is well or fails: a file holds the number itself");
  CHECK(first_error(with("a: { process: x, timeout: 1s }")) == at + "timeout is for scripts");
  CHECK(first_error(with("a: { interface: wan, interval: 1s }")) ==
        at + "interval is for what must be looked at: an interface tells by itself");
  CHECK(first_error(with("a: { script: /x, interval: 1s, timeout: 2s }")) ==
        at + "timeout (2s) is longer than interval (1s)");
  CHECK(first_error(with("a: { process: x, arguments: [y] }")) == at + "arguments is for scripts");
  CHECK_THAT(first_error(with("a: { script: /x, arguments: y }")),
             Catch::Contains("vrrp.groups.G.track.a.arguments: "));
  std::string many = "x";
  for (int i = 0; i < 64; ++i) many += ", x";
  CHECK_THAT(first_error(with("a: { script: /x, arguments: [" + many + "] }")),
             Catch::Contains("more than 64 arguments"));
  CHECK_THAT(first_error(with("a: { process: a-name-that-nobody-keeps }")),
             Catch::Contains("longer than the 15 characters"));
  CHECK_THAT(first_error(with("a: { script: x }")), Catch::Contains("vrrp.groups.G.track.a.script"));
  CHECK_THAT(first_error(with("", "      link_down_delay: 3s\n")), Catch::Contains("link_down_delay"));
}

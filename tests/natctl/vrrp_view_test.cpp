// `natctl show vrrp` and its words.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "natctl/report.hpp"

namespace {

using namespace natctl;

const std::string kBody = R"({"node":"R1","groups":[
 {"name":"MAIN","state":"master","priority":200,"reasons":[],"counters":{"late_ready":0},"transitions":[
   {"at":"2026-11-22T21:00:00.000Z","term":{"counter":7,"node":"R1"},"from":"backup","to":"master","cause":"no adverts",
    "timeline":[{"what":"claim","after_ms":0.0125}]}],
  "instances":[
   {"name":"wan","interface":"eth0","vrid":1,"state":"master","priority":200,
    "virtual_addresses":["10.0.0.1/24","10.0.0.2/24"],
    "primary":"10.0.0.7","master":"10.0.0.7","counters":{"sent":5,"drop_ttl":0}},
   {"name":"lan","interface":"eth2","vrid":2,"state":"master","priority":200,"virtual_addresses":["10.1.0.1/24"],
    "primary":"10.1.0.7","master":null,"counters":{"sent":6}}]},
 {"name":"OTHER","state":"backup","priority":50,"reasons":[],"counters":{},"transitions":[],"instances":[
   {"name":"dmz","interface":"eth3","vrid":3,"state":"backup","priority":50,"virtual_addresses":[],"master":null,
    "counters":{}}]}],
 "counters":{"protocol_errors":1}})";

std::string view(const std::vector<std::string>& words, int exit_code = 0) {
  const Verdict verdict = vrrp_view(kBody, words, false);
  CHECK(verdict.exit_code == exit_code);
  return verdict.text;
}

}  // namespace

TEST_CASE("show vrrp: one line for each instance") {
  CHECK(view({}) ==
        "GROUP  INSTANCE  INTERFACE  VRID  STATE   PRIORITY  MASTER    ADDRESSES\n"
        "MAIN   wan       eth0       1     MASTER  200       10.0.0.7  10.0.0.1/24 10.0.0.2/24\n"
        "MAIN   lan       eth2       2     MASTER  200       -         10.1.0.1/24\n"
        "OTHER  dmz       eth3       3     BACKUP  50        -\n");
}

TEST_CASE("show vrrp statistics: every counter, also those at 0") {
  CHECK(view({"statistics"}) ==
        "OF            COUNTER          VALUE\n"
        "group MAIN    late_ready       0\n"
        "instance wan  sent             5\n"
        "instance wan  drop_ttl         0\n"
        "instance lan  sent             6\n"
        "vrrpd         protocol_errors  1\n");
  CHECK(view({"lan", "statistics"}) ==
        "OF            COUNTER  VALUE\n"
        "instance lan  sent     6\n");
}

TEST_CASE("show vrrp with a name: the group or the instance, in detail") {
  CHECK_THAT(view({"lan"}), Catch::Contains("eth2") && !Catch::Contains("eth0") && !Catch::Contains("OTHER"));
  CHECK_THAT(view({"MAIN", "detail"}), Catch::Contains("eth2") && Catch::Contains("eth0") && !Catch::Contains("dmz"));
  CHECK_THAT(view({"detail"}), Catch::Contains("dmz") && Catch::Contains("protocol_errors"));
  CHECK(view({"nobody"}, 1) == "there is no group or instance nobody; there are: MAIN, wan, lan, OTHER, dmz\n");
  CHECK(view({"wan", "lan"}, 2) == "natctl show vrrp: wan and lan: one is enough\n");
}

TEST_CASE("show vrrp: words may be cut short, names may not, and a name comes before a word that begins so") {
  CHECK(view({"det"}) == view({"detail"}));
  CHECK(view({"s", "lan"}) == view({"lan", "statistics"}));
  CHECK(view({"la"}, 1).starts_with("there is no group or instance la;"));
  std::string body = kBody;
  body.replace(body.find("\"dmz\""), 5, "\"det\"");
  const std::string named = vrrp_view(body, {"det"}, false).text;
  CHECK_THAT(named, Catch::Contains("eth3") && !Catch::Contains("eth0"));
}

TEST_CASE("show vrrp events: with microseconds") {
  CHECK(view({"events"}) ==
        "2026-11-22T21:00:00.000Z  MAIN  backup -> master  term 7  no adverts\n"
        "    +    0.013 ms  claim\n");
  CHECK(view({"events", "OTHER"}) == "no change of state so far\n");
}

TEST_CASE("show vrrp as JSON: what was asked for only") {
  const auto json = nlohmann::json::parse(vrrp_view(kBody, {"lan"}, true).text);
  REQUIRE(json["groups"].size() == 1);
  REQUIRE(json["groups"][0]["instances"].size() == 1);
  CHECK(json["groups"][0]["instances"][0]["name"] == "lan");
  const auto events = nlohmann::json::parse(vrrp_view(kBody, {"events"}, true).text);
  CHECK(events["groups"][0]["transitions"].size() == 1);
  CHECK_FALSE(events.contains("node"));
}

TEST_CASE("show vrrp: an answer that is none does not stop it") {
  for (const char* body : {"", "{", "[]", "7", "{\"groups\":3}", "{\"groups\":[1,null,{\"name\":2}]}"})
    for (const char* word : {"detail", "statistics", "events", "x"}) vrrp_view(body, {word}, false);
  CHECK(vrrp_view("{}", {}, false).exit_code == 0);
}

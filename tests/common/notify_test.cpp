#include "common/notify.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

using namespace common;
using nlohmann::json;

namespace {

const Term kTerm{7, "R1"};

GroupReport report() {
  return {.group = "MAIN-GW",
          .state = GroupState::backup,
          .phase = Phase::requesting,
          .term = kTerm,
          .complete = true,
          .held = true,
          .by_operator = true,
          .priority = 200,
          .valid_for_ms = 400};
}

/// Every message once, with no field at its default.
std::vector<NotifyMessage> samples() {
  return {
      Hello{.version = 3, .role = Role::syncd, .node = "R1", .terms = {{"MAIN-GW", kTerm}, {"B", {8, "R2"}}}},
      Ready{.group = "MAIN-GW", .term = kTerm, .ok = false, .detail = "4 refused"},
      Drained{.group = "MAIN-GW", .term = kTerm, .confirmed = true, .detail = "x"},
      PeerReport{.link = LinkState::refused,
                 .node = "R2",
                 .heard = true,
                 .config_differs = true,
                 .groups = {report()},
                 .replicas = {{"MAIN-GW", true, 18446744073709551615u}}},
      TableReport{.loaded = true, .error = "no such \"file\"\n\x01"},
      Request{.id = 18446744073709551615u, .verb = "switchover", .arguments = {"MAIN-GW", "--force"}},
      Welcome{.version = 2, .node = "R1", .groups = {{"MAIN-GW", GroupState::master, Phase::leaving, kTerm}}},
      Anticipate{.group = "MAIN-GW", .on = false},
      Prepare{.group = "MAIN-GW", .term = kTerm, .timeout_ms = 1000},
      Open{.group = "MAIN-GW", .term = kTerm, .reason = OpenReason::late_ready},
      Shut{.group = "MAIN-GW", .term = kTerm, .cause = "newer term 8@R2"},
      Drain{.group = "MAIN-GW", .term = kTerm, .timeout_ms = 86400000},
      Entered{.group = "MAIN-GW",
              .state = GroupState::fault,
              .phase = Phase::yielded,
              .term = kTerm,
              .priority = 90,
              .cause = "eth0 is down"},
      LocalReport{.groups = {report()}, .peer_alive = true, .probe = true},
      Reply{.id = 4, .ok = false, .error = "no", .body = R"({"a":[1,"ü"]})", .more = true},
      GateShut{.group = "MAIN-GW", .term = kTerm},
  };
}

/// Without these a message still says something; all other fields must be there.
const std::set<std::string> kOptional{"by_operator", "made_apart", "served_apart", "valid_for_ms", "terms", "detail",
                                      "error",       "arguments",  "cause",        "probe",        "body",  "more"};

std::string error_of(const json& object) {
  const auto result = decode_notify(object.dump());
  return result ? "" : result.error().text;
}

/// Every place in the object, as pointer.
void places(const json& value, const json::json_pointer& at, std::vector<json::json_pointer>& out) {
  if (value.is_object())
    for (const auto& [key, inner] : value.items()) {
      out.push_back(at / key);
      places(inner, at / key, out);
    }
  if (value.is_array())
    for (std::size_t i = 0; i < value.size(); ++i) {
      out.push_back(at / i);
      places(value[i], at / i, out);
    }
}

/// "/groups/0/term" -> "groups[0].term"
std::string spoken(const json::json_pointer& at) {
  std::string text;
  std::string part;
  std::istringstream parts(at.to_string().substr(1));
  while (std::getline(parts, part, '/')) {
    if (part[0] >= '0' && part[0] <= '9')
      text += "[" + part + "]";
    else
      text += (text.empty() ? "" : ".") + part;
  }
  return text;
}

}  // namespace

TEST_CASE("every message survives encoding and decoding") {
  const auto all = samples();
  REQUIRE(all.size() == std::variant_size_v<NotifyMessage>);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string packet = encode(all[i]);
    INFO(packet);
    REQUIRE(all[i].index() == i);
    REQUIRE(packet.back() == '\n');
    REQUIRE(std::count(packet.begin(), packet.end(), '\n') == 1);
    const auto decoded = decode_notify(packet);
    REQUIRE(decoded);
    CHECK(*decoded == all[i]);
  }
}

TEST_CASE("the words on the wire are the documented ones") {
  CHECK(encode(Prepare{.group = "MAIN-GW", .term = kTerm, .timeout_ms = 1000}) ==
        R"({"type":"prepare","group":"MAIN-GW","term":{"counter":7,"node":"R1"},"timeout_ms":1000})"
        "\n");
  CHECK(encode(Open{.group = "G", .term = kTerm, .reason = OpenReason::deadline}) ==
        R"({"type":"open","group":"G","term":{"counter":7,"node":"R1"},"reason":"deadline"})"
        "\n");
  CHECK(to_string(GroupState::initialize) == "initialize");
  CHECK(to_string(GroupState::fault) == "fault");
  CHECK(to_string(Phase::handing_over) == "handing_over");
  CHECK(to_string(OpenReason::aborted) == "aborted");
  CHECK(to_string(LinkState::refused) == "refused");
  CHECK(to_string(Role::control) == "control");
}

TEST_CASE("a field of the wrong type is an error that names it") {
  for (const NotifyMessage& message : samples()) {
    const json whole = json::parse(encode(message));
    std::vector<json::json_pointer> all;
    places(whole, json::json_pointer(), all);
    for (const auto& at : all) {
      const json wrong = whole[at].is_number() ? json("7") : json(-1.5);
      for (const json& value : {wrong, json(nullptr)}) {
        json broken = whole;
        broken[at] = value;
        INFO(broken.dump());
        CHECK_THAT(error_of(broken), Catch::Contains("\"" + spoken(at) + "\" is not "));
      }
    }
  }
}

TEST_CASE("a missing field is an error that names it, unless its absence says nothing") {
  for (const NotifyMessage& message : samples()) {
    const json whole = json::parse(encode(message));
    std::vector<json::json_pointer> all;
    places(whole, json::json_pointer(), all);
    for (const auto& at : all) {
      if (whole[at.parent_pointer()].is_array()) continue;
      json broken = whole;
      broken[at.parent_pointer()].erase(at.back());
      INFO(broken.dump());
      const bool optional = kOptional.contains(at.back()) || (at.to_string() == "/node" && whole["type"] == "hello");
      if (optional)
        CHECK(error_of(broken) == "");
      else
        CHECK_THAT(error_of(broken), Catch::Contains("\"" + spoken(at) + "\" is missing"));
    }
  }
}

TEST_CASE("unknown fields of a newer program are ignored at every depth") {
  for (const NotifyMessage& message : samples()) {
    json more = json::parse(encode(message));
    more["later"] = {{"x", 1}};
    std::vector<json::json_pointer> all;
    places(more, json::json_pointer(), all);
    for (const auto& at : all)
      if (more[at].is_object()) more[at]["later"] = true;
    const auto decoded = decode_notify(more.dump());
    INFO(more.dump());
    REQUIRE(decoded);
    CHECK(*decoded == message);
  }
}

TEST_CASE("what is no message is refused with the reason") {
  const auto refused = [](const std::string& packet, const std::string& reason) {
    const auto result = decode_notify(packet);
    INFO(packet.substr(0, 100));
    REQUIRE_FALSE(result);
    CHECK_THAT(result.error().text, Catch::Contains(reason));
  };
  refused("", "not one JSON object");
  refused("\n", "not one JSON object");
  refused("garbage", "not one JSON object");
  refused("[]", "not one JSON object");
  refused("{} {}", "not one JSON object");
  refused("{\"type\":\"shut\xff\"}", "not one JSON object");
  refused(std::string(60000, '['), "not one JSON object");
  refused("{}", "\"type\" is missing");
  refused(R"({"type":7})", "\"type\" is not a string");
  refused(R"({"type":"sing"})", "\"sing\" is not known");
  refused(R"({"type":")" + std::string(5000, 'x') + "\"}", "is not known");
  refused(std::string(kNotifyMaxPacket + 1, ' '), "longer than");
}

TEST_CASE("numbers out of range and unknown words are refused") {
  const auto with = [](const NotifyMessage& message, const std::string& at, const json& value) {
    json object = json::parse(encode(message));
    object[json::json_pointer(at)] = value;
    return error_of(object);
  };
  const auto all = samples();
  CHECK_THAT(with(Hello{}, "/version", 4294967296), Catch::Contains("\"version\" is not an integer"));
  CHECK_THAT(with(Hello{}, "/version", 1.0), Catch::Contains("\"version\" is not an integer"));
  CHECK_THAT(with(Request{}, "/id", -1), Catch::Contains("\"id\" is not an integer of 0 or more"));
  CHECK_THAT(with(Open{}, "/term/counter", -1), Catch::Contains("\"term.counter\" is not an integer"));
  // Added to the time, more than a day would mean nothing, and a lot more would overflow.
  for (const json& wrong : {json(9223372036854775808u), json(9223372036854775807), json(86400001), json(-1)})
    CHECK_THAT(with(Drain{}, "/timeout_ms", wrong),
               Catch::Contains("\"timeout_ms\" is not a number of milliseconds from 0 to a day"));
  CHECK_THAT(with(Hello{}, "/role", "boss"), Catch::Contains("\"role\" is not a word that is known"));
  CHECK_THAT(with(Open{}, "/reason", "Ready"), Catch::Contains("\"reason\" is not a word that is known"));
  CHECK_THAT(with(Open{}, "/reason", "Ready"), Catch::StartsWith("open: "));
}

TEST_CASE("text that is not UTF-8 is replaced, never thrown about") {
  const auto decoded = decode_notify(encode(Shut{.group = "G",
                                                 .term = {},
                                                 .cause = "a\xff"
                                                          "b"}));
  REQUIRE(decoded);
  CHECK(std::get<Shut>(*decoded).cause ==
        "a\xef\xbf\xbd"
        "b");
}

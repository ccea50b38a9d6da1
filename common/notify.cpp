#include "common/notify.hpp"

#include <array>
#include <concepts>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

namespace common {

namespace {

// In the order of the enumerators; the words are the protocol.
constexpr std::array<std::string_view, 4> kRoles{"observer", "syncd", "agent", "control"};
constexpr std::array<std::string_view, 4> kStates{"initialize", "backup", "master", "fault"};
constexpr std::array<std::string_view, 6> kPhases{"idle",         "claiming", "requesting",
                                                  "handing_over", "leaving",  "yielded"};
constexpr std::array<std::string_view, 4> kReasons{"ready", "late_ready", "deadline", "aborted"};
constexpr std::array<std::string_view, 4> kLinks{"none", "down", "up", "refused"};

template <typename E, std::size_t N>
constexpr bool matches(const std::array<std::string_view, N>&, E last) {
  return static_cast<std::size_t>(last) + 1 == N;
}
static_assert(matches(kRoles, Role::control) && matches(kStates, GroupState::fault) &&
              matches(kPhases, Phase::yielded) && matches(kReasons, OpenReason::aborted) &&
              matches(kLinks, LinkState::refused));

constexpr const auto& words(Role) {
  return kRoles;
}
constexpr const auto& words(GroupState) {
  return kStates;
}
constexpr const auto& words(Phase) {
  return kPhases;
}
constexpr const auto& words(OpenReason) {
  return kReasons;
}
constexpr const auto& words(LinkState) {
  return kLinks;
}

template <typename E>
std::string_view word(E value) {
  return words(value)[static_cast<std::size_t>(value)];
}

// The name of each message, in the order of NotifyMessage.
constexpr std::array<std::string_view, std::variant_size_v<NotifyMessage>> kTypes{
    "hello",   "ready", "drained", "peer_report", "table_report", "request",      "welcome", "anticipate",
    "prepare", "open",  "shut",    "drain",       "entered",      "local_report", "reply",   "gate_shut"};

// --- the fields of each message, once for both directions
// ------------------------------------------------------------ `a(name, value)` is a field that must be
// there; `a.maybe(name, value)` one whose absence leaves the default: only where the default says nothing, so
// that a forgotten "ok" can never be read as a yes.

template <typename M, typename T>
concept Of = std::same_as<std::remove_const_t<M>, T>;

template <typename A, Of<Term> M>
void fields(A& a, M& m) {
  a("counter", m.counter);
  a("node", m.node);
}
template <typename A, Of<GroupReport> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("state", m.state);
  a("phase", m.phase);
  a("term", m.term);
  a("complete", m.complete);
  a("held", m.held);
  a.maybe("by_operator", m.by_operator);
  a("priority", m.priority);
  a.maybe("made_apart", m.made_apart);
  a.maybe("served_apart", m.served_apart);
  a.maybe("valid_for_ms", m.valid_for_ms);
}
template <typename A, Of<Hello::Seen> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("term", m.term);
}
template <typename A, Of<Hello> M>
void fields(A& a, M& m) {
  a("version", m.version);
  a("role", m.role);
  a.maybe("node", m.node);
  a.maybe("terms", m.terms);
}
template <typename A, Of<Ready> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("term", m.term);
  a("ok", m.ok);
  a.maybe("detail", m.detail);
}
template <typename A, Of<Drained> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("term", m.term);
  a("confirmed", m.confirmed);
  a.maybe("detail", m.detail);
}
template <typename A, Of<PeerReport::Replica> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("complete", m.complete);
  a("backlog", m.backlog);
  a.maybe("made_apart", m.made_apart);
  a.maybe("served_apart", m.served_apart);
}
template <typename A, Of<PeerReport> M>
void fields(A& a, M& m) {
  a("link", m.link);
  a("node", m.node);
  a("heard", m.heard);
  a("config_differs", m.config_differs);
  a("groups", m.groups);
  a("replicas", m.replicas);
}
template <typename A, Of<GateShut> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("term", m.term);
}
template <typename A, Of<TableReport> M>
void fields(A& a, M& m) {
  a("loaded", m.loaded);
  a.maybe("error", m.error);
}
template <typename A, Of<Request> M>
void fields(A& a, M& m) {
  a("id", m.id);
  a("verb", m.verb);
  a.maybe("arguments", m.arguments);
}
template <typename A, Of<GroupSnapshot> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("state", m.state);
  a("phase", m.phase);
  a("term", m.term);
}
template <typename A, Of<Welcome> M>
void fields(A& a, M& m) {
  a("version", m.version);
  a("node", m.node);
  a("groups", m.groups);
}
template <typename A, Of<Anticipate> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("on", m.on);
}
template <typename A, Of<Prepare> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("term", m.term);
  a("timeout_ms", m.timeout_ms);
}
template <typename A, Of<Open> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("term", m.term);
  a("reason", m.reason);
}
template <typename A, Of<Shut> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("term", m.term);
  a.maybe("cause", m.cause);
}
template <typename A, Of<Drain> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("term", m.term);
  a("timeout_ms", m.timeout_ms);
}
template <typename A, Of<Entered> M>
void fields(A& a, M& m) {
  a("group", m.group);
  a("state", m.state);
  a("phase", m.phase);
  a("term", m.term);
  a("priority", m.priority);
  a.maybe("cause", m.cause);
}
template <typename A, Of<LocalReport> M>
void fields(A& a, M& m) {
  a("groups", m.groups);
  a("peer_alive", m.peer_alive);
  a.maybe("probe", m.probe);
}
template <typename A, Of<Reply> M>
void fields(A& a, M& m) {
  a("id", m.id);
  a("ok", m.ok);
  a.maybe("error", m.error);
  a.maybe("body", m.body);
  a.maybe("more", m.more);
}

// --- writing
// ---------------------------------------------------------------------------------------------------------

class Writer {
 public:
  explicit Writer(nlohmann::ordered_json& object) : object_(object) {}

  template <typename T>
  void operator()(const char* name, const T& value) {
    object_[name] = json_of(value);
  }
  template <typename T>
  void maybe(const char* name, const T& value) {
    (*this)(name, value);
  }

 private:
  template <typename T>
  static nlohmann::ordered_json json_of(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      return word(value);
    } else if constexpr (std::is_arithmetic_v<T> || std::same_as<T, std::string>) {
      return value;
    } else {
      auto object = nlohmann::ordered_json::object();
      Writer inner(object);
      fields(inner, value);
      return object;
    }
  }
  template <typename T>
  static nlohmann::ordered_json json_of(const std::vector<T>& values) {
    auto array = nlohmann::ordered_json::array();
    for (const T& value : values) array.push_back(json_of(value));
    return array;
  }

  nlohmann::ordered_json& object_;
};

// --- reading
// ---------------------------------------------------------------------------------------------------------

/// Reads fields out of one object. After the first mistake it does nothing more, and `error` names the field.
class Reader {
 public:
  // Not ordered_json: that one looks keys up one after the other, and a stranger chooses how many there are.
  Reader(const nlohmann::json& object, std::string path, std::string& error)
      : object_(object), path_(std::move(path)), error_(error) {}

  template <typename T>
  void operator()(const char* name, T& value) {
    field(name, value, true);
  }
  template <typename T>
  void maybe(const char* name, T& value) {
    field(name, value, false);
  }

 private:
  template <typename T>
  void field(const char* name, T& value, bool required) {
    if (!error_.empty()) return;
    const auto found = object_.find(name);
    if (found != object_.end())
      read(*found, path_ + name, value);
    else if (required)
      error_ = "field \"" + path_ + name + "\" is missing";
  }

  void wrong(const std::string& path, const char* wanted) { error_ = "field \"" + path + "\" is not " + wanted; }

  void read(const nlohmann::json& from, const std::string& path, bool& value) {
    if (!from.is_boolean()) return wrong(path, "true or false");
    value = from.get<bool>();
  }
  void read(const nlohmann::json& from, const std::string& path, std::string& value) {
    if (!from.is_string()) return wrong(path, "a string");
    value = from.get_ref<const std::string&>();
  }
  /// Only durations in milliseconds have this type. Whoever adds one to the time must not meet an overflow.
  void read(const nlohmann::json& from, const std::string& path, std::int64_t& value) {
    constexpr std::int64_t kDay = 86'400'000;
    if (!from.is_number_integer() || from.get<std::int64_t>() < 0 || from.get<std::int64_t>() > kDay)
      return wrong(path, "a number of milliseconds from 0 to a day");
    value = from.get<std::int64_t>();
  }
  template <std::integral T>
  void read(const nlohmann::json& from, const std::string& path, T& value) {
    const bool fits = from.is_number_unsigned()  ? std::in_range<T>(from.get<std::uint64_t>())
                      : from.is_number_integer() ? std::in_range<T>(from.get<std::int64_t>())
                                                 : false;
    if (!fits) return wrong(path, std::is_signed_v<T> ? "an integer in range" : "an integer of 0 or more in range");
    value = from.get<T>();
  }
  template <typename T>
    requires std::is_enum_v<T>
  void read(const nlohmann::json& from, const std::string& path, T& value) {
    if (!from.is_string()) return wrong(path, "a string");
    const auto& text = from.get_ref<const std::string&>();
    const auto& known = words(value);
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (known[i] != text) continue;
      value = static_cast<T>(i);
      return;
    }
    wrong(path, "a word that is known");
  }
  template <typename T>
  void read(const nlohmann::json& from, const std::string& path, std::vector<T>& values) {
    if (!from.is_array()) return wrong(path, "an array");
    values.clear();
    for (std::size_t i = 0; i < from.size() && error_.empty(); ++i) {
      T value{};
      read(from[i], path + "[" + std::to_string(i) + "]", value);
      values.push_back(std::move(value));
    }
  }
  template <typename T>
    requires std::is_class_v<T>
  void read(const nlohmann::json& from, const std::string& path, T& value) {
    if (!from.is_object()) return wrong(path, "an object");
    Reader inner(from, path + ".", error_);
    fields(inner, value);
  }

  const nlohmann::json& object_;
  std::string path_;
  std::string& error_;
};

template <std::size_t I = 0>
NotifyMessage read_message(std::size_t index, const nlohmann::json& object, std::string& error) {
  if constexpr (I < std::variant_size_v<NotifyMessage>) {
    if (I != index) return read_message<I + 1>(index, object, error);
    std::variant_alternative_t<I, NotifyMessage> message;
    Reader reader(object, "", error);
    fields(reader, message);
    return message;
  } else {
    check(false, "a type of message beyond the last");
    return {};
  }
}

}  // namespace

bool stays(const Standing& ours, const Standing& theirs) {
  const bool we_served = ours.served_apart > 0, they_served = theirs.served_apart > 0;
  if (we_served != they_served) return we_served;
  if (ours.made_apart != theirs.made_apart) return ours.made_apart > theirs.made_apart;
  if (ours.served_apart != theirs.served_apart) return ours.served_apart > theirs.served_apart;
  return !(theirs.term > ours.term);
}

std::string encode(const NotifyMessage& message) {
  auto object = nlohmann::ordered_json::object();
  object["type"] = kTypes[message.index()];
  Writer writer(object);
  std::visit([&](const auto& m) { fields(writer, m); }, message);
  // Texts may come from files and from the system: what is not UTF-8 in them is replaced instead of thrown
  // about.
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<NotifyMessage> decode_notify(std::string_view packet) {
  if (packet.size() > kNotifyMaxPacket)
    return fail("message of " + std::to_string(packet.size()) + " bytes is longer than " +
                std::to_string(kNotifyMaxPacket));
  const auto object = nlohmann::json::parse(packet, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return fail("message is not one JSON object");
  const auto type = object.find("type");
  if (type == object.end()) return fail("field \"type\" is missing");
  if (!type->is_string()) return fail("field \"type\" is not a string");
  const auto& name = type->get_ref<const std::string&>();
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i] != name) continue;
    std::string error;
    NotifyMessage message = read_message(i, object, error);
    if (!error.empty()) return fail(name + ": " + error);
    return message;
  }
  constexpr std::size_t kShown = 40;  // of a name that a stranger made up
  return fail("message type \"" + name.substr(0, kShown) + "\" is not known");
}

std::string_view to_string(GroupState state) {
  return word(state);
}
std::string_view to_string(Phase phase) {
  return word(phase);
}
std::string_view to_string(OpenReason reason) {
  return word(reason);
}
std::string_view to_string(LinkState state) {
  return word(state);
}
std::string_view to_string(Role role) {
  return word(role);
}

}  // namespace common

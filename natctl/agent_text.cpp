// What the agent's events and actions look like in traces and logs.
#include <fmt/format.h>

#include "common/overload.hpp"
#include "natctl/agent.hpp"

namespace natctl {

namespace {

std::string line_of(const common::NotifyMessage& message) {
  std::string text = common::encode(message);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string_view level_text(Log::Level level) {
  switch (level) {
    case Log::Level::debug:
      return "debug";
    case Log::Level::info:
      return "info";
    case Log::Level::warning:
      return "warning";
    case Log::Level::error:
      return "error";
  }
  return "error";
}

}  // namespace

std::string to_string(const Event& event) {
  return std::visit(
      common::Overload{
          [](const Tick&) { return std::string("tick"); },
          [](const TableFound& e) {
            std::string text = e.exists ? "table found" : "no table";
            for (const auto& [group, open] : e.gates_open) text += fmt::format(" {}={}", group, open ? "open" : "shut");
            return text;
          },
          [](const CountersRead&) { return std::string("counters read"); },
          [](const TransactionDone& e) {
            return fmt::format("transaction {} {}", e.id, e.error.empty() ? "done" : "failed: " + e.error);
          },
          [](const VrrpdMessage& e) { return "vrrpd: " + line_of(e.message); },
          [](const VrrpdConnected&) { return std::string("vrrpd connected"); },
          [](const VrrpdClosed&) { return std::string("vrrpd closed"); },
          [](const SyncdMessage& e) { return "syncd: " + line_of(e.message); },
          [](const RequestReceived& e) { return fmt::format("request {} of client {}", e.request.verb, e.client); },
          [](const Stop&) { return std::string("stop"); },
          [](const Reload&) { return std::string("reload"); },
      },
      event);
}

std::string to_string(const Action& action) {
  return std::visit(
      common::Overload{
          [](const Transaction& a) { return fmt::format("transaction {}: {}", a.id, a.summary); },
          [](const SendNotify& a) { return "to vrrpd: " + line_of(a.message); },
          [](const SendReply& a) { return fmt::format("reply to client {}: {}", a.client, line_of(a.reply)); },
          [](const Log& a) { return fmt::format("{} {}: {}", level_text(a.level), a.name, a.text); },
          [](const Finished&) { return std::string("finished"); },
      },
      action);
}

}  // namespace natctl

// Events and actions as one line each: the debug log, the trace of the simulation and a bug report are the same text.
#include <fmt/core.h>

#include <algorithm>

#include "common/overload.hpp"
#include "vrrpd/engine.hpp"

namespace vrrpd {

namespace {

std::string text(const common::NotifyMessage& message) {
  std::string line = common::encode(message);
  while (!line.empty() && line.back() == '\n') line.pop_back();
  return line;
}

/// Priority and VRID are what a trace is read for; the rest of the bytes stands in a capture.
std::string advert(const common::Bytes& payload) {
  if (payload.size() < 3) return fmt::format("{} bytes", payload.size());
  return fmt::format("vrid {} priority {}", std::to_integer<int>(payload[1]), std::to_integer<int>(payload[2]));
}

}  // namespace

std::string to_string(const Event& event) {
  return std::visit(
      common::Overload{
          [](const Tick&) { return std::string("tick"); },
          [](const AdvertReceived& e) {
            return fmt::format("advert on {} from {}: {}", e.interface, e.source.to_string(), advert(e.payload));
          },
          [](const LinkChanged& e) {
            return fmt::format("link {} {}, address {}", e.interface,
                               !e.exists   ? "does not exist"
                               : e.running ? "runs"
                                           : "does not run",
                               e.primary.to_string());
          },
          [](const ClientConnected& e) { return fmt::format("client {} connected", e.client); },
          [](const ClientMessage& e) { return fmt::format("client {}: {}", e.client, text(e.message)); },
          [](const ClientClosed& e) { return fmt::format("client {} closed", e.client); },
          [](const AddressResult& e) {
            return fmt::format("{} {} on {}: {}", e.added ? "added" : "removed", e.address.to_string(), e.interface,
                               e.code);
          },
          [](const Disturbed& e) { return fmt::format("{} is gone from {}", e.what, e.device); },
          [](const Tracked& e) {
            return fmt::format("{} of {} {}, {}", e.name, e.group, e.good ? "is well" : "fails", e.value);
          },
          [](const Stop&) { return std::string("stop"); }, [](const Reload&) { return std::string("reload"); }},
      event);
}

std::string to_string(const Action& action) {
  return std::visit(
      common::Overload{
          [](const SendAdvert& a) { return fmt::format("send advert on {}: {}", a.interface, advert(a.payload)); },
          [](const AddAddress& a) { return fmt::format("add {} to {}", a.address.to_string(), a.interface); },
          [](const RemoveAddress& a) { return fmt::format("remove {} from {}", a.address.to_string(), a.interface); },
          [](const SetDevice& a) { return fmt::format("set {} {}", a.device, a.up ? "up" : "down"); },
          [](const AddRoute& a) { return fmt::format("add route to {} by {}", a.route.to.to_string(), a.device); },
          [](const RemoveRoute& a) {
            return fmt::format("remove route to {} by {}", a.route.to.to_string(), a.device);
          },
          [](const Announce& a) { return fmt::format("announce {} on {}", a.address.to_string(), a.interface); },
          [](const SendMessage& a) { return fmt::format("to client {}: {}", a.client, text(a.message)); },
          [](const CloseClient& a) { return fmt::format("close client {}: {}", a.client, a.why); },
          [](const RunHook& a) {
            std::string line = "run " + a.path;
            for (const std::string& argument : a.arguments) line += " " + argument;
            return line;
          },
          [](const StoreTerm& a) {
            return fmt::format("store term {} of {}{}", common::to_string(a.term), a.group, a.held ? ", held" : "");
          },
          [](const Log& a) { return fmt::format("log {}: {}", a.name, a.text); },
          [](const Finished&) { return std::string("finished"); }},
      action);
}

}  // namespace vrrpd

#include "natctl/io/monitor_view.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "common/io/loop.hpp"
#include "common/io/notify_socket.hpp"
#include "natctl/monitor.hpp"

namespace natctl::io {
namespace {

using namespace std::chrono_literals;

/// A daemon is asked from memory; what it says of the pair changes no faster than people read.
constexpr common::Duration kLookEvery = 1s;

class Monitor {
 public:
  Monitor(const Invocation& invocation, Ask ask)
      : invocation_(invocation),
        ask_(ask),
        timer_(loop_.timer([this] { look(); }, common::io::Loop::Priority::normal)),
        vrrpd_(loop_, invocation.options.run_dir + "/vrrpd.sock",
               {.connected = [this] { say("vrrpd", "connected"); },
                .message = [this](const common::NotifyMessage& message) { heard(message); },
                .closed = [this] { say("vrrpd", "connection lost"); }}) {
    loop_.on_signals([this] { loop_.stop(0); }, [] {});
    timer_->set(common::io::now());
  }
  int run() {
    loop_.run();
    return loop_.exit_code();
  }

 private:
  void say(const char* type, const std::string& text) {
    const std::string at = common::io::wall_clock(common::io::now());
    if (invocation_.json)
      std::puts(nlohmann::ordered_json{{"at", at}, {"type", type}, {"text", text}}.dump().c_str());
    else
      std::printf("%s  %s\n", at.c_str(), (std::string(type) == "vrrpd" ? "vrrpd  " + text : text).c_str());
    std::fflush(stdout);
  }

  void heard(const common::NotifyMessage& message) {
    if (invocation_.json) {
      auto json = nlohmann::ordered_json::parse(common::encode(message), nullptr, false);
      json["at"] = common::io::wall_clock(common::io::now());
      std::puts(json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
      std::fflush(stdout);
      return;
    }
    for (const std::string& line : monitor_lines(message)) say("group", line);
  }

  void look() {
    for (const std::string& line : readiness_.look(make_status(ask_(invocation_)))) say("readiness", line);
    timer_->set(common::io::now() + kLookEvery);
  }

  const Invocation& invocation_;
  Ask ask_;
  common::io::Loop loop_;
  Readiness readiness_;
  std::unique_ptr<common::io::Loop::Timer> timer_;
  common::io::NotifyClient vrrpd_;
};

}  // namespace

int run_monitor(const Invocation& invocation, Ask ask) {
  return Monitor(invocation, ask).run();
}

}  // namespace natctl::io

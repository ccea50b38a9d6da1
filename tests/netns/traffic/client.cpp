#include "traffic/client.hpp"

#include <sstream>
#include <stdexcept>

#include "traffic/server.hpp"

namespace traffic {

namespace {

EchoGroup::Settings echo_settings(const Options& options) {
  EchoGroup::Settings result{.local = options.text("local", "0.0.0.0"),
                             .server = endpoint(options.text("server", ""), kEchoPort),
                             .ports = options.ports("ports", "10000-19999"),
                             .count = options.number("connections", 0),
                             .interval = static_cast<Nanoseconds>(options.number("interval-ms", 100)) * kMillisecond,
                             .ramp = options.number("ramp", 2000)};
  if (result.count > result.ports.count) throw std::invalid_argument("--ports: fewer ports than connections");
  return result;
}

FreshConnections::Settings fresh_settings(const Options& options) {
  return {.local = options.text("local", "0.0.0.0"),
          .server = endpoint(options.text("server", ""), kEchoPort),
          .ports = options.ports("new-ports", "30000-59999"),
          .rate = options.number("new-rate", 0),
          .limit = static_cast<Nanoseconds>(options.number("new-limit-ms", 30000)) * kMillisecond};
}

BulkTransfers::Settings bulk_settings(const Options& options) {
  return {.local = options.text("local", "0.0.0.0"),
          .sink = endpoint(options.text("server", ""), kSinkPort),
          .source = endpoint(options.text("server", ""), kSourcePort),
          .ports = options.ports("bulk-ports", "9000-9099"),
          .uploads = options.number("uploads", 0),
          .downloads = options.number("downloads", 0),
          .bytes_per_second = options.number("bulk-rate", 1'000'000)};
}

UdpFlows::Settings udp_settings(const Options& options) {
  const std::uint16_t port = options.text("udp-echo", "no") == "yes" ? kEchoPort : kPushPort;
  UdpFlows::Settings result{
      .local = options.text("local", "0.0.0.0"),
      .server = endpoint(options.text("server", ""), port),
      .ports = options.ports("udp-ports", "5000-8999"),
      .count = options.number("udp-flows", 0),
      .interval = static_cast<Nanoseconds>(options.number("udp-interval-ms", 2000)) * kMillisecond};
  if (result.count > result.ports.count) throw std::invalid_argument("--udp-ports: fewer ports than flows");
  return result;
}

}  // namespace

Client::Client(const Options& options)
    : start_(now()),
      progress_interval_(static_cast<Nanoseconds>(options.number("progress-ms", 200)) * kMillisecond),
      echo_(loop_, echo_settings(options), start_),
      fresh_(loop_, fresh_settings(options), start_),
      bulk_(loop_, bulk_settings(options), start_),
      udp_(loop_, udp_settings(options), start_) {}

void Client::run() {
  Commands commands(loop_, [this](const std::string& line) { command(line); });
  Json("started").field("at", start_).print();
  loop_.run([this](Nanoseconds at) {
    echo_.tick(at);
    fresh_.tick(at);
    bulk_.tick(at);
    udp_.tick(at);
    if (!announced_ && echo_.all_open()) {
      announced_ = true;
      Json("ready").field("at", at).field("open", echo_.open()).field("broken", echo_.broken()).print();
    }
    if (at >= next_progress_) {
      progress(at);
      next_progress_ = at + progress_interval_;
    }
  });
  final_report();
}

void Client::command(const std::string& line) {
  std::istringstream words(line);
  std::string verb;
  words >> verb;
  if (verb == "mark") {
    // From here on `check` speaks of what happened since.
    mark_ = now();
    echo_.mark(mark_);
    fresh_.mark();
    Json("marked").field("at", mark_).print();
  } else if (verb == "check") {
    std::int64_t limit_ms = 5000;
    words >> limit_ms;
    check("check", limit_ms * kMillisecond).print();
  } else if (verb == "silent" || verb == "speak") {
    udp_.silence(verb == "silent");
    Json(verb).field("at", now()).print();
  } else if (verb == "udp-clear") {
    udp_.clear();
    Json(verb).field("at", now()).print();
  } else if (verb == "fresh-pause" || verb == "fresh-go") {
    fresh_.pause(verb == "fresh-pause");
    Json(verb).field("at", now()).print();
  } else if (verb == "stop") {
    loop_.stop();
  } else {
    Json("error").field("text", "unknown command: " + line).print();
  }
}

void Client::progress(Nanoseconds at) const {
  Json("progress")
      .field("at", at)
      .field("open", echo_.open())
      .field("lively", echo_.lively(at))
      .field("broken", echo_.broken())
      .field("sent", echo_.sent())
      .field("echoed", echo_.echoed())
      .field("fresh_done", fresh_.done())
      .field("fresh_failed", fresh_.failed())
      .field("bulk_bytes", bulk_.bytes())
      .field("bulk_broken", bulk_.broken())
      .print();
}

Json Client::check(const std::string& type, Nanoseconds limit) const {
  const Nanoseconds at = now();
  Json result(type);
  result.field("at", at).field("marked_at", mark_);
  result.field("echo", echo_.check(limit, at)).field("fresh", fresh_.check());
  result.field("bulk", bulk_.check(at)).field("udp", udp_.check());
  result.field("echo_failures", echo_.failures()).field("fresh_failures", fresh_.failures());
  result.field("bulk_failures", bulk_.failures());
  return result;
}

void Client::final_report() const {
  Json result = check("final", 0);
  const Bins& bins = echo_.bins();
  result.field("bins_from", bins.start()).field("bin_ms", Bins::kWidth / kMillisecond).field("bins", bins.counts());
  result.print();
}

}  // namespace traffic

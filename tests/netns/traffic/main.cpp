// traffic: load for the end-to-end tests, and the judge of what became of it.
//
//   traffic server  --address A                       TCP echo, sink and source; UDP echo; UDP push-back
//   traffic client  --server A --local B ...          connections, transfers, new connections and UDP flows
//   of one host traffic reflect --address A                       the far end of the probe traffic probe
//   --server A --local B --port P     a datagram each millisecond, and the silences between the answers
//
// All of them print JSON lines on stdout, take commands as lines on stdin, and end at "stop", at the end of
// stdin, and at SIGTERM.
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

#include "traffic/client.hpp"
#include "traffic/probe.hpp"
#include "traffic/server.hpp"

namespace {

void run(const std::string& mode, int count, char** values) {
  using traffic::Options;
  if (mode == "server") {
    traffic::Server(Options(count, values, {"address"})).run();
  } else if (mode == "reflect") {
    traffic::reflect(Options(count, values, {"address"}));
  } else if (mode == "probe") {
    traffic::Probe(Options(count, values, {"server", "local", "port", "interval-us"})).run();
  } else if (mode == "client") {
    traffic::Client(Options(count, values,
                            {"server", "local", "ports", "connections", "interval-ms", "ramp", "new-ports", "new-rate",
                             "new-limit-ms", "bulk-ports", "uploads", "downloads", "bulk-rate", "udp-echo", "udp-ports",
                             "udp-flows", "udp-interval-ms", "progress-ms"}))
        .run();
  } else {
    throw std::invalid_argument("unknown mode: " + mode);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: traffic server|client|reflect|probe [--option value]...\n");
    return 2;
  }
  try {
    traffic::stop_on_signals();
    traffic::raise_file_limit();
    run(argv[1], argc - 2, argv + 2);
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "traffic: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "traffic: %s\n", error.what());
    return 1;
  }
}

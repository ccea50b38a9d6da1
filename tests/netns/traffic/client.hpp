#pragma once
// Everything that one LAN host does at once, steered by lines on stdin and reporting in JSON lines on stdout.
#include <string>

#include "traffic/bulk.hpp"
#include "traffic/echo_group.hpp"
#include "traffic/fresh.hpp"
#include "traffic/udp_flows.hpp"

namespace traffic {

class Client {
 public:
  explicit Client(const Options& options);
  void run();

 private:
  void command(const std::string& line);
  void progress(Nanoseconds at) const;
  Json check(const std::string& type, Nanoseconds limit) const;
  void final_report() const;

  Loop loop_;
  Nanoseconds start_;
  Nanoseconds mark_ = 0;
  Nanoseconds next_progress_ = 0;
  Nanoseconds progress_interval_;
  EchoGroup echo_;
  FreshConnections fresh_;
  BulkTransfers bulk_;
  UdpFlows udp_;
  bool announced_ = false;  ///< that all connections are open
};

}  // namespace traffic

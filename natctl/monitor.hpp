#pragma once
// `natctl monitor`: what happens on this router, a line for each thing. Pure.
#include <string>
#include <vector>

#include "common/notify.hpp"
#include "natctl/report.hpp"

namespace natctl {

/// For people, without the time; none for what is only there to be repeated.
std::vector<std::string> monitor_lines(const common::NotifyMessage& message);

/// Says whether a failover would be well, when that has changed.
class Readiness {
 public:
  /// None when it is as it was.
  std::vector<std::string> look(const Report& report);

 private:
  std::string last_;
};

}  // namespace natctl

#pragma once
// The state of this router in Prometheus' text format, from what the three daemons answered. Pure.
#include <string>
#include <string_view>

#include "natctl/report.hpp"

namespace natctl {

/// Families are there whether or not their daemon answers, with what is known; steadynat_up says who did.
std::string metrics_text(const Answers& answers, std::string_view version);

/// Seconds since 1970 of "2026-11-22T21:00:00.000Z"; 0 when it is not that.
double epoch_seconds(std::string_view rfc3339);

}  // namespace natctl

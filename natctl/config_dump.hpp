#pragma once
// What the file says for one router, with every default written out: for people and for comparing two files.
#include <string>

#include "common/config.hpp"

namespace natctl {

std::string config_json(const common::Config& config);  ///< one object, indented
/// The same, one value a line: "vrrp.groups.MAIN-GW.advertise_interval: 1s".
std::string config_lines(const common::Config& config);

}  // namespace natctl

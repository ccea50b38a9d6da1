#pragma once
// The passwords of VRRPv2 stand in files of their own: the configuration is read by many.
#include "common/config.hpp"
#include "common/result.hpp"

namespace vrrpd::io {

/// Puts what the password files say into the instances. Fails with one line.
common::Status read_passwords(common::Config& config);

}  // namespace vrrpd::io

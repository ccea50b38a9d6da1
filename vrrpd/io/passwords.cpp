#include "vrrpd/io/passwords.hpp"

#include <string>

#include "common/io/daemon.hpp"
#include "vrrpd/advert.hpp"

namespace vrrpd::io {

common::Status read_passwords(common::Config& config) {
  if (!config.vrrp) return {};
  for (common::GroupConfig& group : config.vrrp->groups)
    for (common::InstanceConfig& instance : group.instances) {
      if (instance.password_file.empty()) continue;
      auto text = common::io::read_secret(instance.password_file, "password file",
                                          "it must hold the password that the other router has");
      if (!text) return std::unexpected(text.error());
      // A longer one would be cut by some routers and refused by others.
      if (text->empty() || text->size() > kLongestPassword)
        return common::fail(instance.password_file + ": password file: must hold one word of 1 to " +
                            std::to_string(kLongestPassword) + " letters");
      instance.password = std::move(*text);
    }
  return {};
}

}  // namespace vrrpd::io

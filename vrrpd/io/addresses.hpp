#pragma once
// Virtual addresses on interfaces. Each has a short lifetime in the kernel, so that it vanishes should we
// stop renewing it; what we added is written down before it is added, so that a successor of a killed process
// knows it as ours. What was there already is nobody's business but the operator's: it is neither renewed nor
// removed.
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "vrrpd/engine.hpp"
#include "vrrpd/io/counters.hpp"
#include "vrrpd/io/links.hpp"
#include "vrrpd/io/route_socket.hpp"

namespace vrrpd::io {

class Addresses {
 public:
  /// `record` is the file. What it names is ours if the kernel still has it with a lifetime.
  static common::Result<Addresses> open(std::string record, const Links& links, Counters& counters);

  /// Writes down, in one go, every address that `actions` are about to add.
  void note_additions(const Actions& actions);
  /// Adds the address or renews its lifetime: EEXIST when it is there and not ours.
  AddressResult add(const AddAddress& action);
  /// An address that is gone already, or is not ours, counts as removed.
  AddressResult remove(const RemoveAddress& action);
  /// What we have added and the kernel has not any more, by the interface; one for each.
  std::vector<Disturbed> missing() const;
  /// Brings the record up to date after removals: once for all of them.
  void flush();

 private:
  using Key = std::pair<std::string, common::Prefix>;
  enum class Stage { noted, added };
  struct Own {
    Stage stage = Stage::noted;
    int index = 0;  ///< of its interface when it was added: that may be called otherwise when it is removed
  };
  Addresses(std::string record, const Links& links, Counters& counters, RouteSocket socket);
  void load();
  void save();
  void found_foreign(const Key& key);
  int send_add(int index, const AddAddress& action, int flags);
  unsigned address_flags(const std::string& interface, const common::Prefix& address) const;

  std::string record_;
  const Links& links_;
  Counters& counters_;
  RouteSocket socket_;
  bool is_gone(const Key& key) const;

  std::map<Key, Own> ours_;  ///< as in the file
  std::set<Key> foreign_;    ///< found in our way: said once
  bool dirty_ = false;
  bool record_failed_ = false;
};

}  // namespace vrrpd::io

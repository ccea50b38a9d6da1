#pragma once
// Looks at what groups track: runs scripts, reads files, looks for processes. Interfaces are known anyway.
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/io/loop.hpp"
#include "vrrpd/engine.hpp"
#include "vrrpd/io/counters.hpp"
#include "vrrpd/io/looks.hpp"

namespace vrrpd::io {

class Tracks {
 public:
  using Handler = std::function<void(const Tracked& look)>;
  Tracks(common::io::Loop& loop, Counters& counters, std::vector<std::string> environment, Handler handler);
  ~Tracks();
  Tracks(const Tracks&) = delete;
  Tracks& operator=(const Tracks&) = delete;

  /// From now on. What is the same as before goes on as it is.
  void want(const common::Config& config);

 private:
  struct Item {
    std::string group;
    common::TrackConfig config;
    std::unique_ptr<common::io::Loop::Timer> next, overdue;
    std::unique_ptr<ProcessSearch> search;  ///< while it goes on
    int pid = 0;                            ///< of the script that runs, or of the process that was found
    bool killed = false;
    bool said = false;  ///< why it cannot be looked at
  };
  using Key = std::pair<std::string, std::string>;  ///< group and name

  void look(const Key& key);
  void run(const Key& key, Item& item);
  void too_slow(const Key& key);
  void ended(const Key& key, int pid, int status);
  void read(Item& item);
  void find(Item& item);
  void tell(const Item& item, bool good, int value = 0);
  void end(Item& item);

  common::io::Loop& loop_;
  Counters& counters_;
  std::vector<std::string> environment_;
  Handler handler_;
  std::map<Key, Item> items_;
};

}  // namespace vrrpd::io

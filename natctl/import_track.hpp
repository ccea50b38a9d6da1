#pragma once
// What keepalived tracks: described at the top of its file, and used by name in instances and groups.
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "natctl/import_model.hpp"

namespace natctl::importer {

class Trackers {
 public:
  /// The statements must live as long.
  explicit Trackers(const std::vector<Statement>& top);

  /// What this instance or group uses, in our words.
  void read(const std::vector<Statement>& block, std::vector<Track>& into, Diagnostics& out);

 private:
  struct Form;
  struct Known {
    const Statement* statement = nullptr;
    const Form* form = nullptr;
    std::optional<Track> track;  ///< when it has been read, and ours has something like it
  };
  const Track* find(const std::string& used_by, const std::string& name, Diagnostics& out);

  std::map<std::pair<std::string, std::string>, Known> known_;  ///< by the statement that uses it, and its name
};

}  // namespace natctl::importer

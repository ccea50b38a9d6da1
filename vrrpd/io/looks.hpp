#pragma once
// One look at a tracked file, and the search for a tracked process. The loop that sends adverts does it, so neither may
// take long, whatever the file is and however many processes there are.
#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "common/io/unique_fd.hpp"
#include "common/result.hpp"

namespace vrrpd::io {

struct FileLook {
  bool good = true;  ///< false: the file says `fault`
  int value = 0;     ///< to be added to the priority
  bool operator==(const FileLook&) const = default;
};

/// A file that is not there says nothing, and is neither good nor bad. The error says what is wrong with one that is.
common::Result<FileLook> look_at_file(const std::string& path);

/// The process runs, and has this name (as `ps -o comm` shows it).
bool process_runs(int pid, const std::string& name);

/// Goes through the processes of the machine, some at a time.
class ProcessSearch {
 public:
  explicit ProcessSearch(std::string name);

  /// None: there are more to look at. 0: no process has the name. Otherwise the id of one that has.
  std::optional<int> step();

 private:
  /// As many entries of /proc as take about a tenth of a millisecond: the shortest interval of adverts is ten.
  static constexpr std::size_t kBytesOfEntries = 512;
  std::string name_;
  common::io::UniqueFd folder_;
  alignas(8) std::array<char, kBytesOfEntries> entries_{};
};

}  // namespace vrrpd::io

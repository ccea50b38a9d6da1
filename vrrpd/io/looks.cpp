#include "vrrpd/io/looks.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>

namespace vrrpd::io {
namespace {

using common::fail;
using common::io::UniqueFd;

/// A number between these is an adjustment of a priority between 1 and 254. Files are other people's.
constexpr int kMostAdjustment = 253;
/// More of a file is not read; the longest word that means something has five characters.
constexpr std::size_t kMostOfFile = 64;
/// A line of /proc/PID/stat begins with the id, the name in brackets and the state.
constexpr std::size_t kMostOfStat = 128;
constexpr std::string_view kSpace = " \t\r\n";

/// What the file begins with; empty when it cannot be read.
std::string beginning(int fd, std::size_t most) {
  std::string text(most, '\0');
  const ssize_t got = read(fd, text.data(), most);
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return text;
}

std::string of_process(const std::string& pid, const char* file, std::size_t most) {
  const UniqueFd fd(open(("/proc/" + pid + "/" + file).c_str(), O_RDONLY | O_CLOEXEC));
  return fd ? beginning(fd.get(), most) : std::string();
}

common::Result<std::string> read_word(const std::string& path) {
  // Not blocking: to open a FIFO waits for its writer, to open a device may wait for anything.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!fd && errno == ENOENT) return std::string();
  struct stat status{};
  if (!fd || fstat(fd.get(), &status) != 0) return fail(std::strerror(errno), errno);
  if (!S_ISREG(status.st_mode)) return fail("is not a regular file", EINVAL);
  const std::string text = beginning(fd.get(), kMostOfFile);
  const std::size_t from = text.find_first_not_of(kSpace);
  if (from == std::string::npos && text.size() < kMostOfFile) return std::string();
  const std::size_t to = text.find_first_of(kSpace, from);
  if (from == std::string::npos || (to == std::string::npos && text.size() == kMostOfFile))
    return fail("has no word that ends within its first " + std::to_string(kMostOfFile) + " bytes", EINVAL);
  return text.substr(from, to == std::string::npos ? to : to - from);
}

}  // namespace

common::Result<FileLook> look_at_file(const std::string& path) {
  const auto word = read_word(path);
  if (!word) return std::unexpected(word.error());
  if (word->empty()) return FileLook{};
  if (*word == "fault") return FileLook{false, 0};
  int value = 0;
  const auto [end, error] = std::from_chars(word->data(), word->data() + word->size(), value);
  const bool number = error == std::errc() && end == word->data() + word->size();
  if (!number || value < -kMostAdjustment || value > kMostAdjustment)
    return fail("holds neither a number between -" + std::to_string(kMostAdjustment) + " and " +
                    std::to_string(kMostAdjustment) + " nor the word fault",
                EINVAL);
  return FileLook{true, value};
}

bool process_runs(int pid, const std::string& name) {
  const std::string id = std::to_string(pid);
  // The name may hold anything but a zero, also a bracket. The state behind it: a zombie has ended.
  const std::string begins = id + " (" + name + ") ";
  const std::string stat = of_process(id, "stat", kMostOfStat);
  return stat.starts_with(begins) && stat.size() > begins.size() && stat[begins.size()] != 'Z' &&
         stat[begins.size()] != 'X';
}

ProcessSearch::ProcessSearch(std::string name)
    : name_(std::move(name)), folder_(open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}

std::optional<int> ProcessSearch::step() {
  const ssize_t got = folder_ ? getdents64(folder_.get(), entries_.data(), entries_.size()) : 0;
  if (got <= 0) return 0;
  for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
    const auto* entry = reinterpret_cast<const dirent64*>(entries_.data() + at);
    at += entry->d_reclen;
    const std::string_view id = entry->d_name;
    int pid = 0;
    const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), pid);
    if (error != std::errc() || end != id.data() + id.size()) continue;
    // Reading the name alone is a fraction of the work for the rest.
    if (of_process(std::string(id), "comm", kMostOfStat) == name_ + "\n" && process_runs(pid, name_)) return pid;
  }
  return std::nullopt;
}

}  // namespace vrrpd::io

#include "common/io/log.hpp"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/io/loop.hpp"

namespace common::io {

namespace {

// A pipe that poll() calls writable takes this much without blocking (PIPE_BUF).
constexpr std::size_t kLongestLine = 4096;

struct Sink {
  std::string program;
  bool debug = false;
  bool journal = false;
  std::uint64_t lost = 0;
};
Sink sink;  // stderr is one per process, and so is this

/// JOURNAL_STREAM names the device and inode of the stream; it is inherited by processes whose stderr is
/// another.
bool stderr_is_journal() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat status{};
  if (stream == nullptr || fstat(STDERR_FILENO, &status) != 0) return false;
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) == stream;
}

std::string_view word(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "";
}

std::string_view journal_prefix(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "<7>";
    case LogLevel::info:
      return "<6>";
    case LogLevel::warning:
      return "<4>";
    case LogLevel::error:
      return "<3>";
  }
  return "";
}

std::string line_of(LogLevel level, std::string_view name, std::string_view text) {
  std::string line;
  if (sink.journal) {
    line += journal_prefix(level);
  } else {
    line += wall_clock(now());
    line += ' ';
    if (!sink.program.empty()) line.append(sink.program).append(" ");
    line.append(word(level)).append(": ");
  }
  if (!name.empty()) line.append(name).append(": ");
  line += text;
  // One call is one line: a name from a packet or a file must not be able to start another.
  for (char& c : line)
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = ' ';
  if (line.size() >= kLongestLine) line.replace(kLongestLine - 4, std::string::npos, "...");
  line += '\n';
  return line;
}

/// A daemon under real-time priority must not wait for whoever reads its log.
bool write_line(const std::string& line) {
  pollfd ready{STDERR_FILENO, POLLOUT, 0};
  if (poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return false;
  return write(STDERR_FILENO, line.data(), line.size()) == static_cast<ssize_t>(line.size());
}

}  // namespace

void log_open(std::string_view program, bool debug) {
  sink.program = program;
  sink.debug = debug;
  sink.journal = stderr_is_journal();
}

void log(LogLevel level, std::string_view name, std::string_view text) {
  if (level == LogLevel::debug && !sink.debug) return;
  if (sink.lost > 0) {
    const std::string gap = std::to_string(sink.lost) + " lines of the log are lost: nobody read stderr";
    if (!write_line(line_of(LogLevel::warning, "", gap))) {
      ++sink.lost;
      return;
    }
    sink.lost = 0;
  }
  if (!write_line(line_of(level, name, text))) ++sink.lost;
}

}  // namespace common::io

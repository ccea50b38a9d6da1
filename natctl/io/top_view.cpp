#include "natctl/io/top_view.hpp"

#include <fmt/format.h>
#include <ncurses.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <thread>

#include "common/config_reader.hpp"
#include "common/io/loop.hpp"
#include "natctl/io/kernel_connections.hpp"
#include "natctl/top.hpp"

namespace natctl::io {
namespace {

using namespace std::chrono_literals;

/// To read the kernel's table takes about a microsecond an entry: of a larger one no more than its size is told.
constexpr std::uint64_t kMostLookedAt = 50'000;
/// Faster is not read by anybody, and slower shows nothing of the moment.
constexpr common::Duration kShortest = 100ms, kLongest = 60s;

std::string wall_clock() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
}

std::uint64_t kernel_count() {
  const auto text = common::io::read_file("/proc/sys/net/netfilter/nf_conntrack_count");
  std::uint64_t value = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), value);
  return value;
}

void look_at_connections(TopSample& sample) {
  if (const std::uint64_t count = kernel_count(); count > kMostLookedAt) {
    sample.why_no_conversations =
        fmt::format("{} connections: above {} they are not looked at one by one", count, kMostLookedAt);
    return;
  }
  const auto done = each_conversation([&](const Conversation& talk) { sample.conversations.push_back(talk); });
  if (!done) sample.why_no_conversations = done.error().text;
}

TopSample look(const Invocation& invocation, Ask ask, bool with_connections) {
  TopSample sample{.at = common::io::now(),
                   .clock = wall_clock(),
                   .answers = ask(invocation),
                   .conversations = {},
                   .why_no_conversations = {}};
  if (with_connections) look_at_connections(sample);
  return sample;
}

int plain(const Invocation& invocation, Ask ask, common::Duration interval) {
  std::optional<TopSample> before;
  for (unsigned looks = 0;;) {
    TopSample now = look(invocation, ask, false);
    const TopSample* earlier = before ? &*before : nullptr;
    std::puts((invocation.json ? top_json(now, earlier) : top_line(now, earlier)).c_str());
    std::fflush(stdout);
    if (++looks == invocation.count) return 0;
    before = std::move(now);
    std::this_thread::sleep_for(interval);
  }
}

/// The terminal while it is ours; it gets back what it showed before.
class Terminal {
 public:
  Terminal() : screen_(newterm(nullptr, stdout, stdin)) {
    if (screen_ == nullptr) return;
    cbreak();
    noecho();
    curs_set(0);
    keypad(stdscr, TRUE);
    if (has_colors() && std::getenv("NO_COLOR") == nullptr && start_color() == OK && use_default_colors() == OK) {
      init_pair(kGood, COLOR_GREEN, -1);
      init_pair(kBad, COLOR_RED, -1);
      colours_ = true;
    }
  }
  ~Terminal() {
    if (screen_ == nullptr) return;
    endwin();
    delscreen(screen_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  bool usable() const { return screen_ != nullptr; }
  TopSize size() const { return {.columns = getmaxx(stdscr), .rows = getmaxy(stdscr)}; }

  void draw(const std::vector<TopLine>& lines) {
    erase();
    for (int row = 0; row < static_cast<int>(lines.size()); ++row) {
      const TopLine& line = lines[static_cast<std::size_t>(row)];
      const auto attributes = attributes_of(line.tone);
      attrset(static_cast<int>(attributes));
      mvaddstr(row, 0, line.text.c_str());
    }
    attrset(A_NORMAL);
    refresh();
  }

  enum class Key { none, quit, resize };
  /// Waits for a key, at most that long.
  Key wait(common::Duration patience) {
    timeout(static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(patience).count()));
    switch (getch()) {
      case 'q':
      case 'Q':
        return Key::quit;
      case KEY_RESIZE:
        return Key::resize;
      default:
        return Key::none;
    }
  }

 private:
  static constexpr short kGood = 1, kBad = 2;

  attr_t attributes_of(TopLine::Tone tone) const {
    switch (tone) {
      case TopLine::Tone::plain:
        return A_NORMAL;
      case TopLine::Tone::head:
        return A_BOLD;
      case TopLine::Tone::good:
        return colours_ ? static_cast<attr_t>(COLOR_PAIR(kGood)) : A_NORMAL;
      case TopLine::Tone::bad:
        return colours_ ? static_cast<attr_t>(COLOR_PAIR(kBad)) | A_BOLD : A_REVERSE;
    }
    return A_NORMAL;
  }

  SCREEN* screen_;
  bool colours_ = false;
};

int on_terminal(const Invocation& invocation, Ask ask, common::Duration interval, Terminal& terminal) {
  std::optional<TopSample> before;
  for (unsigned looks = 0;;) {
    TopSample now = look(invocation, ask, true);
    const common::Time next = now.at + interval;
    ++looks;
    for (;;) {
      terminal.draw(top_screen(now, before ? &*before : nullptr, terminal.size()));
      const auto left = std::max(common::Duration{}, next - common::io::now());
      const Terminal::Key key = terminal.wait(left);
      if (key == Terminal::Key::quit) return 0;
      if (key == Terminal::Key::none && common::io::now() >= next) break;
    }
    if (looks == invocation.count) return 0;
    before = std::move(now);
  }
}

}  // namespace

int run_top(const Invocation& invocation, Ask ask) {
  const auto interval = common::parse_duration(invocation.interval);
  if (!interval || *interval < kShortest || *interval > kLongest)
    return misused("--interval " + invocation.interval + ": give a time from 100ms to 60s");
  if (!invocation.json && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO)) {
    std::setlocale(LC_ALL, "");
    if (Terminal terminal; terminal.usable()) return on_terminal(invocation, ask, *interval, terminal);
  }
  return plain(invocation, ask, *interval);
}

}  // namespace natctl::io

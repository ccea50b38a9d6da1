#include "common/io/daemon.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "common/io/log.hpp"
#include "common/io/unique_fd.hpp"

namespace common::io {

namespace {

constexpr std::size_t kKeyBytes = 32;
// A key file is one short line, and a configuration is written by hand: what is longer is the wrong file.
constexpr std::size_t kMaxKeyFile = 4096;
constexpr std::size_t kMaxFile = std::size_t{16} << 20;

std::unexpected<Error> fail_on(const std::string& path, int code) {
  return fail(path + ": " + std::strerror(code), code);
}

Result<std::string> read_all(int fd, const std::string& path, std::size_t limit) {
  std::string text;
  std::array<char, 16384> piece;
  for (;;) {
    const ssize_t size = read(fd, piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_on(path, errno);
    if (size == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(size));
    if (text.size() > limit) return fail(path + ": is longer than " + std::to_string(limit) + " bytes", EFBIG);
  }
}

Result<std::string> read_path(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail_on(path, errno);
  return read_all(fd.get(), path, kMaxFile);
}

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "";
  return name.data();
}

/// The user that we run as, as chown takes it.
std::string user_name() {
  const passwd* entry = getpwuid(geteuid());
  return entry != nullptr ? entry->pw_name : std::to_string(geteuid());
}

void print(const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
}

Status write_whole(const std::string& path, const std::string& text) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return fail_on(path, errno);
  // An older file of this name keeps its own mode.
  if (fchmod(fd.get(), 0600) != 0) return fail_on(path, errno);
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t size = write(fd.get(), text.data() + at, text.size() - at);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_on(path, errno);
    at += static_cast<std::size_t>(size);
  }
  return {};
}

}  // namespace

std::optional<Config> load_config(const DaemonOptions& options) {
  const auto text = read_path(options.config);
  if (!text) {
    print(text.error().text);
    return std::nullopt;
  }
  std::string node = options.node.empty() ? host_name() : options.node;
  LoadedConfig loaded = parse_config(*text, options.config, node);
  const auto dot = node.find('.');
  if (options.node.empty() && !loaded.unknown_node_choices.empty() && dot != std::string::npos) {
    // A host name may be a full domain name; nodes are called by the first part of it.
    LoadedConfig again = parse_config(*text, options.config, node.substr(0, dot));
    if (again.unknown_node_choices.empty()) loaded = std::move(again);
  }
  for (const Diagnostic& diagnostic : loaded.diagnostics) print(diagnostic.to_string());
  if (!loaded.unknown_node_choices.empty()) {
    std::string line = options.config + ": there is no node \"" + node + "\"; choose one with --node:";
    for (const std::string& name : loaded.unknown_node_choices) line += " " + name;
    print(line);
    return std::nullopt;
  }
  return std::move(loaded.config);
}

Status prepare_run_dir(const std::string& run_dir) {
  const std::string state = run_dir + "/state";
  std::error_code error;
  std::filesystem::create_directories(state, error);
  if (error) return fail(run_dir + ": cannot be created: " + error.message(), error.value());
  // The lists in it decide what is removed after a crash: nobody else may write them.
  struct stat status{};
  if (stat(state.c_str(), &status) != 0) return fail_on(state, errno);
  if (geteuid() != 0 && status.st_uid != geteuid())
    return fail(
        run_dir + ": belongs to another user: a daemon ran here as root? run: chown -R " + user_name() + ": " + run_dir,
        EPERM);
  if (chmod(state.c_str(), 0700) != 0) return fail_on(state, errno);
  if (access(run_dir.c_str(), W_OK) != 0) return fail_on(run_dir, errno);
  return {};
}

Status write_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  auto written = write_whole(fresh, text);
  if (!written && written.error().code == ENOENT) {
    // Somebody has emptied the run directory under us.
    std::error_code ignored;  // the second attempt says what is wrong
    const auto parent = std::filesystem::path(path).parent_path();
    std::filesystem::create_directories(parent, ignored);
    chmod(parent.c_str(), 0700);
    written = write_whole(fresh, text);
  }
  if (!written) {
    unlink(fresh.c_str());
    return written;
  }
  // Not synced: the run directory is memory, and after a reboot its content must be gone anyway.
  if (rename(fresh.c_str(), path.c_str()) == 0) return {};
  const int code = errno;
  unlink(fresh.c_str());
  return fail_on(path, code);
}

std::optional<std::string> read_file(const std::string& path) {
  auto text = read_path(path);
  if (!text) return std::nullopt;
  return std::move(*text);
}

Result<std::string> read_secret(const std::string& path, const std::string& what, const std::string& advice) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd && errno == EACCES)
    return fail(
        path + ": " + what + ": may not be read by user " + user_name() + "; run: chown " + user_name() + " " + path,
        EACCES);
  if (!fd) return fail(path + ": " + what + ": " + std::strerror(errno) + "; " + advice, errno);
  struct stat status{};
  if (fstat(fd.get(), &status) != 0) return fail_on(path, errno);
  if (!S_ISREG(status.st_mode)) return fail(path + ": " + what + ": is not a regular file");
  if ((status.st_mode & 077) != 0)
    return fail(path + ": " + what + ": others than its owner have access to it; run: chmod 600 " + path, EPERM);
  auto text = read_all(fd.get(), path, kMaxKeyFile);
  if (!text) return std::unexpected(text.error());
  while (!text->empty() && std::strchr(" \t\r\n", text->back()) != nullptr) text->pop_back();
  return text;
}

Result<std::vector<std::byte>> read_key_file(const std::string& path) {
  auto text = read_secret(path, "key file", "make one with: natctl keygen");
  if (!text) return std::unexpected(text.error());
  std::vector<std::byte> key(kKeyBytes);
  std::size_t size = 0;
  const int decoded = sodium_base642bin(reinterpret_cast<unsigned char*>(key.data()), key.size(), text->data(),
                                        text->size(), nullptr, &size, nullptr, sodium_base64_VARIANT_ORIGINAL);
  sodium_memzero(text->data(), text->size());
  if (decoded != 0 || size != kKeyBytes) {
    sodium_memzero(key.data(), key.size());
    return fail(path + ": key file: is not one line with the base64 of " + std::to_string(kKeyBytes) +
                " bytes; make it with: natctl keygen");
  }
  return key;
}

void notify_ready() {
  sd_notify(0, "READY=1");
}
void notify_stopping() {
  sd_notify(0, "STOPPING=1");
}
void notify_status(const std::string& text) {
  sd_notifyf(0, "STATUS=%s", text.c_str());
}

bool program_replaced() {
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  // The kernel's word for a file whose last name is gone: the package manager renames the new one over it.
  return !error && program.native().ends_with(" (deleted)");
}

void start_watchdog(Loop& loop) {
  loop.start_watchdog();
}

void prefer_real_time(int priority) {
  sched_param parameter{};
  parameter.sched_priority = priority;
  // Hooks must not inherit it: a shell script that spins would stop the router.
  if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &parameter) != 0)
    log(LogLevel::warning, "", std::string("no real-time priority: ") + std::strerror(errno));
}

void lock_memory() {
  // With MCL_FUTURE and a limit, memory runs out at the limit instead of at the end of the machine's. An ordinary user
  // may ask for no more than it has been given, which need not be less.
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0 || mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
    log(LogLevel::warning, "", std::string("memory is not locked: ") + std::strerror(errno));
}

}  // namespace common::io

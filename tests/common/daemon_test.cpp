#include "common/io/daemon.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <sstream>

#include "common/io/log.hpp"
#include "common/io/notify_packet.hpp"
#include "common/io/options.hpp"
#include "common/io/unique_fd.hpp"
#include "tests/common/scratch.hpp"

using namespace common;
using namespace common::io;

namespace {

const std::string kKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

void put(const std::string& path, const std::string& text, mode_t mode = 0600) {
  std::ofstream(path) << text;
  REQUIRE(chmod(path.c_str(), mode) == 0);
}

mode_t mode_of(const std::string& path) {
  struct stat status{};
  REQUIRE(stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

/// What was written to stderr while this lived.
class Stderr {
 public:
  explicit Stderr(const std::string& path) : path_(path), before_(dup(STDERR_FILENO)) {
    const UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    dup2(file.get(), STDERR_FILENO);
  }
  ~Stderr() { dup2(before_.get(), STDERR_FILENO); }
  std::string text() const { return read_file(path_).value_or(""); }

 private:
  std::string path_;
  UniqueFd before_;
};

}  // namespace

TEST_CASE("a key file is read when only its owner can") {
  Scratch scratch;
  const std::string path = scratch / "sync.key";
  for (const char* end : {"", "\n", "\r\n", " \n\n"}) {
    put(path, kKey + end);
    const auto key = read_key_file(path);
    REQUIRE(key);
    REQUIRE(key->size() == 32);
    for (std::size_t i = 0; i < 32; ++i) CHECK(std::to_integer<std::size_t>((*key)[i]) == i);
  }
  put(path, kKey, 0400);
  CHECK(read_key_file(path));
}

TEST_CASE("a key file that others can read is refused with the command that mends it") {
  Scratch scratch;
  const std::string path = scratch / "sync.key";
  for (const mode_t mode : {0640u, 0604u, 0620u, 0602u, 0644u, 0601u}) {
    put(path, kKey, mode);
    const auto key = read_key_file(path);
    REQUIRE_FALSE(key);
    CHECK_THAT(key.error().text, Catch::EndsWith("run: chmod 600 " + path));
  }
}

TEST_CASE("a key file that holds no key is refused") {
  Scratch scratch;
  const std::string path = scratch / "sync.key";
  CHECK_THAT(read_key_file(path).error().text, Catch::Contains("natctl keygen"));
  for (const std::string& text :
       {std::string(), std::string("hello"), kKey.substr(4), kKey + kKey, kKey.substr(0, 42) + "=", "x" + kKey,
        kKey.substr(0, 43), kKey.substr(0, 20) + "\n" + kKey.substr(20), std::string(100000, 'A')}) {
    put(path, text);
    const auto key = read_key_file(path);
    INFO(text.substr(0, 100));
    REQUIRE_FALSE(key);
    CHECK_THAT(key.error().text, Catch::StartsWith(path + ": "));
    CHECK(key.error().text.find('\n') == std::string::npos);
  }
  CHECK_THAT(read_key_file(scratch.path).error().text, Catch::Contains("not a regular file"));
}

TEST_CASE("a file is replaced in one step and is private") {
  Scratch scratch;
  const std::string path = scratch / "terms";
  REQUIRE(write_file(path, "one"));
  CHECK(read_file(path) == "one");
  CHECK(mode_of(path) == 0600);
  put(path + ".new", "left by a crash, and longer than what follows", 0644);
  REQUIRE(write_file(path, "two"));
  CHECK(read_file(path) == "two");
  CHECK(mode_of(path) == 0600);
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
  CHECK_FALSE(read_file(scratch / "nothing"));
}

TEST_CASE("a file that cannot be written is one line, and the old one stays") {
  Scratch scratch;
  CHECK(write_file(scratch / "missing/terms", "x"));  // somebody has emptied the run directory
  CHECK(read_file(scratch / "missing/terms") == "x");
  CHECK((std::filesystem::status(scratch / "missing").permissions() & std::filesystem::perms::mask) ==
        std::filesystem::perms::owner_all);
  CHECK_THAT(write_file(scratch / "missing/terms/x", "x").error().text, Catch::Contains("Not a directory"));

  const std::string path = scratch / "terms";
  REQUIRE(write_file(path, "old"));
  // A limit on the size of files stands in for a full disk.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto written = write_file(path, std::string(5000, 'x'));
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  REQUIRE_FALSE(written);
  CHECK_THAT(written.error().text, Catch::Contains("File too large"));
  CHECK(read_file(path) == "old");
  CHECK_FALSE(std::filesystem::exists(path + ".new"));
}

TEST_CASE("the run directory is made, or refused with one line") {
  Scratch scratch;
  const std::string dir = scratch / "a/b";
  REQUIRE(prepare_run_dir(dir));
  REQUIRE(prepare_run_dir(dir));
  CHECK(mode_of(dir + "/state") == 0700);
  put(scratch / "file", "");
  const auto refused = prepare_run_dir(scratch / "file");
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().text, Catch::StartsWith((scratch / "file") + ": cannot be created: "));
}

TEST_CASE("a configuration that is not there is one line on stderr") {
  Scratch scratch;
  DaemonOptions options;
  options.config = scratch / "none.yaml";
  options.node = "R1";
  const Stderr err(scratch / "err");
  CHECK_FALSE(load_config(options));
  CHECK(err.text() == options.config + ": No such file or directory\n");
}

TEST_CASE("an unknown node is refused with the names to choose from, mistakes with their places") {
  Scratch scratch;
  DaemonOptions options;
  options.config = scratch / "pair.yaml";
  options.node = "R3";
  const std::string good = R"(version: 1
nodes:
  R1: { priority: 200, sync_address: 10.10.10.2 }
  R2: { priority: 100, sync_address: 10.10.10.3 }
vrrp:
  groups:
    MAIN-GW:
      instances:
        wan: { interface: eth0, vrid: 1, virtual_addresses: [10.10.0.101/24] }
)";
  const Stderr err(scratch / "err");
  put(options.config, good);
  CHECK_FALSE(load_config(options));
  CHECK(err.text() == options.config + ": there is no node \"R3\"; choose one with --node: R1 R2\n");

  options.node = "R2";
  const auto loaded = load_config(options);
  REQUIRE(loaded);
  CHECK(loaded->node == "R2");

  put(options.config, good + "nonsense: 1\n");
  CHECK_FALSE(load_config(options));
  CHECK_THAT(err.text(), Catch::Contains(options.config + ":10:1: error: "));
}

TEST_CASE("systemd is told of the start, and its watchdog is answered by the loop") {
  Scratch scratch;
  const UniqueFd socket_fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const std::string path = scratch / "notify";
  const auto address = socket_address(path).value();
  REQUIRE(bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  setenv("NOTIFY_SOCKET", path.c_str(), 1);
  const auto next = [&] {
    char text[200];
    const ssize_t size = recv(socket_fd.get(), text, sizeof text, 0);
    return std::string(text, size < 0 ? 0 : static_cast<std::size_t>(size));
  };
  notify_ready();
  CHECK(next() == "READY=1");
  notify_status("MAIN-GW: MASTER");
  CHECK(next() == "STATUS=MAIN-GW: MASTER");
  notify_stopping();
  CHECK(next() == "STOPPING=1");

  Loop loop;
  CHECK_FALSE(loop.start_watchdog());  // nobody asked
  setenv("WATCHDOG_USEC", "20000", 1);
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  CHECK(loop.start_watchdog());
  std::vector<std::string> seen;
  loop.watch(socket_fd.get(), EPOLLIN, [&](std::uint32_t) {
    seen.push_back(next());
    if (seen.size() == 3) loop.stop();
  });
  loop.run();
  CHECK(seen == std::vector<std::string>(3, "WATCHDOG=1"));
  loop.unwatch(socket_fd.get());
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
}

TEST_CASE("real time is taken where it is given, and its lack is a warning") {
  Scratch scratch;
  const Stderr err(scratch / "err");
  const pid_t child = fork();  // the other tests go on without
  if (child == 0) {
    prefer_real_time(1);
    _exit(sched_getscheduler(0) == (SCHED_RR | SCHED_RESET_ON_FORK) ? 1 : 0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  const bool warned = err.text().find("no real-time priority: ") != std::string::npos;
  CHECK((WEXITSTATUS(status) == 1) != warned);
}

TEST_CASE("a program without a section of its own has failed, unless it was told that this may be") {
  Scratch scratch;
  const Stderr err(scratch / "err");
  DaemonOptions options{.config = "/c"};
  CHECK(exit_without_section(options, "sync", "syncd") == kExitUsage);
  CHECK_THAT(err.text(), Catch::Contains("/c: has no section `sync`"));
  options.if_configured = true;
  CHECK(exit_without_section(options, "sync", "syncd") == 0);
}

TEST_CASE("a program knows when its file has been replaced") {
  CHECK_FALSE(program_replaced());
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  const std::string aside = program + ".aside";
  // What a package manager does: another file gets the name, and the old one loses its last.
  std::filesystem::copy_file(program, aside, std::filesystem::copy_options::overwrite_existing);
  std::filesystem::rename(aside, program);
  CHECK(program_replaced());
}

TEST_CASE("a log line is one line, whatever is in it") {
  Scratch scratch;
  unsetenv("JOURNAL_STREAM");
  const Stderr err(scratch / "err");
  log_open("vrrpd", false);
  log(LogLevel::debug, "x", "not shown");
  log(LogLevel::warning, "MAIN-GW", "a\nb\x1b[2J");
  log(LogLevel::info, "", std::string(10000, 'x'));
  std::istringstream lines(err.text());
  std::string line;
  REQUIRE(std::getline(lines, line));
  CHECK_THAT(line, Catch::Matches(R"(\S+Z vrrpd warning: MAIN-GW: a b \[2J)"));
  REQUIRE(std::getline(lines, line));
  CHECK(line.size() < 4096);
  CHECK_THAT(line, Catch::EndsWith("x..."));
  CHECK_FALSE(std::getline(lines, line));
}

TEST_CASE("the journal gets priorities") {
  Scratch scratch;
  const Stderr err(scratch / "err");
  struct stat status{};
  REQUIRE(fstat(STDERR_FILENO, &status) == 0);
  const std::string stream = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  setenv("JOURNAL_STREAM", stream.c_str(), 1);
  log_open("vrrpd", true);
  unsetenv("JOURNAL_STREAM");
  log(LogLevel::error, "wan", "down");
  log(LogLevel::debug, "", "more");
  log_open("", false);
  CHECK(err.text() == "<3>wan: down\n<7>more\n");
}

TEST_CASE("nobody waits for a reader of the log that does not read") {
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  const UniqueFd in(fds[0]), out(fds[1]), before(dup(STDERR_FILENO));
  dup2(out.get(), STDERR_FILENO);
  for (int i = 0; i < 100; ++i) log(LogLevel::info, "", std::string(3000, 'x'));  // more than a pipe holds
  std::string text(1 << 20, '\0');
  text.resize(static_cast<std::size_t>(read(in.get(), text.data(), text.size())));
  log(LogLevel::info, "", "after");
  std::string rest(1 << 20, '\0');
  rest.resize(static_cast<std::size_t>(read(in.get(), rest.data(), rest.size())));
  dup2(before.get(), STDERR_FILENO);
  CHECK_THAT(rest, Catch::Contains("lines of the log are lost"));
  CHECK_THAT(rest, Catch::Contains("after"));
}

TEST_CASE("the options of the daemons") {
  const auto parse = [](std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "vrrpd");
    return parse_daemon_options(static_cast<int>(arguments.size()), arguments.data(), "vrrpd", "purpose");
  };
  const auto none = parse({});
  REQUIRE(none);
  CHECK(none->config == "/etc/steadynat/steadynat.yaml");
  CHECK(none->node.empty());
  CHECK(none->run_dir == "/run/steadynat");
  CHECK_FALSE(none->check);
  const auto all = parse({"--debug", "--node", "R2", "--run-dir=/x", "--check", "--config", "/c"});
  REQUIRE(all);
  CHECK(all->config == "/c");
  CHECK(all->node == "R2");
  CHECK(all->run_dir == "/x");
  CHECK(all->check);
  CHECK(all->debug);
  CHECK_FALSE(all->if_configured);

  Scratch scratch;
  const Stderr err(scratch / "err");
  CHECK(parse({"--nod", "R2"}).error() == kExitUsage);
  CHECK(parse({"extra"}).error() == kExitUsage);
  CHECK(parse({"--node"}).error() == kExitUsage);
  CHECK_THAT(err.text(), Catch::Contains("--nod"));
}

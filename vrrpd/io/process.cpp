#include "vrrpd/io/process.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>

#include "common/io/log.hpp"

namespace vrrpd::io {
namespace {

using common::fail;

struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

/// What a user may belong to; the kernel allows 65536, an account with more than this is a mistake.
constexpr int kMaxGroups = 1024;

common::Result<User> find_user(const std::string& name) {
  errno = 0;
  const passwd* entry = getpwnam(name.c_str());
  if (entry == nullptr) return fail("no such user: " + name + "; create it or change `user` of the hooks", errno);
  User user{entry->pw_uid, entry->pw_gid, std::vector<gid_t>(kMaxGroups)};
  int count = kMaxGroups;
  if (getgrouplist(name.c_str(), user.gid, user.groups.data(), &count) < 0)
    return fail("user " + name + " is in more than " + std::to_string(kMaxGroups) + " groups");
  user.groups.resize(static_cast<std::size_t>(count));
  return user;
}

/// A program that anybody may change must not be run with our rights.
common::Status check_program(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return fail(path + ": " + std::strerror(errno), errno);
  if (!S_ISREG(status.st_mode)) return fail(path + ": is not a file", EACCES);
  if ((status.st_mode & S_IWOTH) != 0)
    return fail(path + ": anybody can change it, so it is not run; use: chmod o-w " + path, EPERM);
  return {};
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

void forget_signals() {
  for (int number = 1; number < NSIG; ++number) std::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

bool become(const User& user) {
  return setgroups(user.groups.size(), user.groups.data()) == 0 && setgid(user.gid) == 0 && setuid(user.uid) == 0;
}

/// All that may fail or take its time (a directory of users on the network, a program on a slow disk) happens
/// in the child: the loop waits for nothing.
common::Status execute(const Command& command, char* const* argv, char* const* envp) {
  if (auto fit = check_program(command.path); !fit) return fit;
  std::optional<User> user;
  if (!command.user.empty()) {
    auto found = find_user(command.user);
    if (!found) return std::unexpected(found.error());
    user = std::move(*found);
  }
  // Being that user already needs no right.
  if (user && user->uid != geteuid() && !become(*user))
    return fail("cannot become user " + command.user + ": " + std::strerror(errno) +
                    "; vrrpd needs CAP_SETUID and CAP_SETGID for that, see HOOKS in vrrpd(8)",
                errno);
  // What vrrpd may do to the network is not for its scripts.
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  execve(argv[0], argv, envp);
  return fail(command.path + ": " + std::strerror(errno), errno);
}

[[noreturn]] void run_child(const Command& command, char* const* argv, char* const* envp) {
  setsid();
  forget_signals();
  const sched_param ordinary{};
  sched_setscheduler(0, SCHED_OTHER, &ordinary);
  const int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  [[maybe_unused]] const int moved = chdir("/");
  const auto outcome = execute(command, argv, envp);
  common::io::log(common::io::LogLevel::error, "hook_failed", outcome.error().text);
  _exit(kNotStarted);
}

}  // namespace

common::Result<int> start_process(const Command& command) {
  std::vector<std::string> arguments{command.path}, environment = command.environment;
  arguments.insert(arguments.end(), command.arguments.begin(), command.arguments.end());
  const std::vector<char*> argv = pointers(arguments), envp = pointers(environment);
  const pid_t pid = fork();
  if (pid == 0) run_child(command, argv.data(), envp.data());
  if (pid < 0) return fail(std::string("cannot start a process: ") + std::strerror(errno), errno);
  return pid;
}

}  // namespace vrrpd::io

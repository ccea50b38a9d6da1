// One look at a file or at the processes of the machine, whatever they are.
#include "vrrpd/io/looks.hpp"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "../common/scratch.hpp"

using vrrpd::io::FileLook;
using vrrpd::io::look_at_file;
using vrrpd::io::process_runs;
using vrrpd::io::ProcessSearch;

namespace {

std::string file_with(const Scratch& scratch, const std::string& text) {
  const std::string path = scratch / "file";
  std::ofstream(path) << text;
  return path;
}

FileLook look_at(const std::string& text) {
  const Scratch scratch;
  const auto look = look_at_file(file_with(scratch, text));
  INFO(text);
  REQUIRE(look);
  return *look;
}

std::string mistake(const std::string& text) {
  const Scratch scratch;
  const auto look = look_at_file(file_with(scratch, text));
  INFO(text);
  REQUIRE_FALSE(look);
  return look.error().text;
}

/// A child of this name that waits to be killed.
struct Child {
  explicit Child(const char* name) {
    int ready[2];
    REQUIRE(pipe(ready) == 0);
    pid = fork();
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      prctl(PR_SET_NAME, name);
      [[maybe_unused]] const ssize_t put = write(ready[1], "x", 1);
      for (;;) pause();
    }
    char byte = 0;
    REQUIRE(read(ready[0], &byte, 1) == 1);
    close(ready[0]);
    close(ready[1]);
  }
  ~Child() {
    if (pid > 0) end();
  }
  /// Dead, and nobody has waited for it.
  void become_zombie() const {
    kill(pid, SIGKILL);
    siginfo_t info{};
    REQUIRE(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
  }
  void end() {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    pid = 0;
  }
  pid_t pid = 0;
};

int search(const std::string& name, int& steps) {
  ProcessSearch search(name);
  for (steps = 1;; ++steps)
    if (const auto found = search.step()) return *found;
}

int search(const std::string& name) {
  int steps = 0;
  return search(name, steps);
}

}  // namespace

TEST_CASE("a tracked file holds a number or the word fault", "[track]") {
  CHECK(look_at("7") == FileLook{true, 7});
  CHECK(look_at(" -253\nwhatever follows") == FileLook{true, -253});
  CHECK(look_at("253\n") == FileLook{true, 253});
  CHECK(look_at("fault\n") == FileLook{false, 0});
  CHECK(look_at("") == FileLook{});
  CHECK(look_at(" \n") == FileLook{});
  CHECK(look_at(std::string(60, ' ') + "12\n") == FileLook{true, 12});
  CHECK(look_at("5 " + std::string(1 << 20, 'x')) == FileLook{true, 5});
  const std::string not_understood = "holds neither a number between -253 and 253 nor the word fault";
  for (const char* text : {"254", "-254", "+1", "1.5", "faulty", "0x10", "99999999999999999999", "- 1"})
    CHECK(mistake(text) == not_understood);
  CHECK(mistake(std::string("1\0", 2)) == not_understood);
}

TEST_CASE("of a tracked file as much is read as can mean something, and nothing is waited for", "[track]") {
  const Scratch scratch;
  CHECK(look_at_file(scratch / "missing") == FileLook{});
  const std::string endless = "has no word that ends within its first 64 bytes";
  CHECK(mistake(std::string(1 << 20, '1')) == endless);
  CHECK(mistake(std::string(1 << 20, ' ')) == endless);
  CHECK(mistake(std::string(62, ' ') + "12\n") == endless);  // would be taken for something else, cut off
  const std::string fifo = scratch / "fifo", folder = scratch / "folder", loop = scratch / "loop";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  REQUIRE(mkdir(folder.c_str(), 0700) == 0);
  REQUIRE(symlink(loop.c_str(), loop.c_str()) == 0);
  for (const std::string& path : {fifo, folder, std::string("/dev/zero"), std::string("/dev/null")})
    CHECK(look_at_file(path).error().text == "is not a regular file");
  CHECK_FALSE(look_at_file(loop));
  CHECK_FALSE(look_at_file(file_with(scratch, "1") + "/below"));
}

TEST_CASE("a process is found by its name, and not when it is a zombie", "[track]") {
  const std::string name = "sought (1) " + std::to_string(getpid() % 1000);
  CHECK(search(name) == 0);
  Child child(name.c_str());
  CHECK(search(name) == child.pid);
  CHECK(process_runs(child.pid, name));
  CHECK_FALSE(process_runs(child.pid, "sought"));
  CHECK_FALSE(process_runs(child.pid, name.substr(0, name.size() - 1)));
  child.become_zombie();
  CHECK_FALSE(process_runs(child.pid, name));
  CHECK(search(name) == 0);
  child.end();
  CHECK(search(name) == 0);
}

TEST_CASE("a search goes through all processes, a few in each step", "[track]") {
  std::vector<std::unique_ptr<Child>> crowd;
  for (int i = 0; i < 100; ++i) crowd.push_back(std::make_unique<Child>("crowd"));
  const Child last("last-of-all");
  int steps = 0;
  CHECK(search("last-of-all", steps) == last.pid);
  // An entry of /proc takes 24 bytes of the 512, at least.
  CHECK(steps >= 100 / (512 / 24));
}

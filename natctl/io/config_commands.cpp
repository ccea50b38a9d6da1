#include "natctl/io/config_commands.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "common/io/options.hpp"
#include "natctl/config_dump.hpp"
#include "natctl/io/ask_peer.hpp"
#include "natctl/io/daemon_status.hpp"
#include "natctl/io/metrics_server.hpp"
#include "natctl/json_reader.hpp"
#include "natctl/line_diff.hpp"
#include "natctl/metrics.hpp"

namespace natctl::io {
namespace {

struct PeerFile {
  bool heard = false, differs = false;
  std::string diff;   ///< of its file against ours
  std::string fault;  ///< why there is no diff
};

/// How the file of the other router reads, against ours.
void fetch_diff(const Invocation& invocation, PeerFile& file) {
  const auto papers = papers_of_peer(invocation.options.run_dir);
  const auto ours = common::io::read_file(invocation.options.config);
  const auto config = common::io::load_config(invocation.options);
  if (!papers)
    file.fault = papers.error().text;
  else if (!papers->config)
    file.fault = papers->config_withheld.empty() ? "it does not show its file" : papers->config_withheld;
  else if (!ours || !config)
    file.fault = invocation.options.config + ": cannot be used";
  else
    file.diff = file_diff(*ours, *papers->config, config->node);
  if (file.fault.empty() && file.diff.empty())
    file.fault = "the files are the same by now: reload the daemons on the router whose file is newer than they are";
}

std::string told(const PeerFile& file) {
  if (!file.heard) return "the other router is not heard on the link: its file is not known\n";
  if (!file.differs) return "the other router runs with the same file\n";
  const std::string head = "the other router runs with another file";
  return file.diff.empty() ? head + "; " + file.fault + "\n" : head + " (-: here, +: there)\n" + file.diff;
}

/// Whether the files differ is told by the digests that the two syncd compare all the time; how, by asking for it.
int compare_with_peer(const Invocation& invocation) {
  const Answer answer = status_of(invocation.options.run_dir, "syncd");
  if (!answer.body) return failed(answer.error);
  const auto status = nlohmann::json::parse(*answer.body, nullptr, false);
  if (!status.is_object()) return failed("syncd answers with something that is no status");
  const auto said = status.find("config_differs");
  PeerFile file{.heard = status.value("link", "") == "up", .differs = said != status.end() && *said == true};
  if (file.heard && file.differs) fetch_diff(invocation, file);
  if (invocation.json) {
    nlohmann::ordered_json json{{"peer_heard", file.heard}, {"differs", file.differs}, {"diff", file.diff}};
    if (!file.fault.empty()) json["fault"] = file.fault;
    std::puts(dump(json, 2).c_str());
  } else {
    std::fputs(told(file).c_str(), stdout);
  }
  return file.heard && !file.differs ? 0 : 1;
}

/// node_exporter runs as somebody else, and must never see half a file.
int write_for_others(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  std::FILE* file = std::fopen(fresh.c_str(), "we");
  if (file == nullptr) return failed(fresh + ": " + std::strerror(errno));
  const bool written = std::fputs(text.c_str(), file) >= 0 && fchmod(fileno(file), 0644) == 0;
  const bool closed = std::fclose(file) == 0;
  if (written && closed && std::rename(fresh.c_str(), path.c_str()) == 0) return 0;
  const int code = failed(path + ": " + std::strerror(errno));
  std::remove(fresh.c_str());
  return code;
}

}  // namespace

int config_dump(const Invocation& invocation) {
  const auto config = common::io::load_config(invocation.options);
  if (!config) return common::io::kExitUsage;
  std::fputs((invocation.json ? config_json(*config) : config_lines(*config)).c_str(), stdout);
  return 0;
}

int config_diff(const Invocation& invocation) {
  if (invocation.files.empty()) return compare_with_peer(invocation);
  common::io::DaemonOptions other = invocation.options;
  other.config = invocation.files.front();
  const auto ours = common::io::load_config(invocation.options), theirs = common::io::load_config(other);
  if (!ours || !theirs) return common::io::kExitUsage;
  const std::string diff = line_diff(config_lines(*ours), config_lines(*theirs));
  if (invocation.json)
    std::puts(nlohmann::json{{"differs", !diff.empty()}, {"diff", diff}}.dump(2).c_str());
  else
    std::fputs(diff.empty() ? "the two files say the same\n" : diff.c_str(), stdout);
  return diff.empty() ? 0 : 1;
}

int run_metrics(const Invocation& invocation, Ask ask) {
  const auto text = [&] { return metrics_text(ask(invocation), common::io::version()); };
  if (!invocation.listen.empty()) return serve_metrics(invocation.listen, text);
  if (invocation.textfile.empty()) {
    std::fputs(text().c_str(), stdout);
    return 0;
  }
  return write_for_others(invocation.textfile, text());
}

}  // namespace natctl::io

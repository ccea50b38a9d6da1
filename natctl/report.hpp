#pragma once
// What natctl shows: made from the JSON that the three daemons answer with. Pure; nothing is asked here.
#include <optional>
#include <string>
#include <vector>

namespace natctl {

/// One daemon's answer to "status".
struct Answer {
  std::optional<std::string> body;  ///< none: it did not answer
  std::string error;                ///< why not, one line
};

struct Answers {
  std::string node;  ///< what this router is called if vrrpd does not say
  Answer vrrpd, syncd, agent;
  /// Whether the configuration has work for it; none: the configuration could not be read, judge by the
  /// answers.
  std::optional<bool> vrrpd_expected, syncd_expected, agent_expected;
};

/// Exit codes of `natctl status`.
inline constexpr int kReady = 0, kDegraded = 1, kNoAnswer = 3;

struct Report {
  std::string json;  ///< one object, indented
  std::string text;  ///< a screen
  int exit_code = kNoAnswer;
};

Report make_status(const Answers& answers);

/// Details of one daemon as text, from the body of its answer; what cannot be understood is shown as it is.
std::string vrrp_details(const std::string& body);
std::string sync_details(const std::string& body);
std::string nat_details(const std::string& body);
std::string event_list(const std::string& body);
std::string connection_list(const std::string& body);

/// The outcome of `sync verify`: exit code 0 when nothing differs; and of other commands, where it is not 0, an error.
struct Verdict {
  std::string text;
  int exit_code = 1;
};
/// `show vrrp`: a table; with `detail`, `statistics` or `events` that; with the name of a group or instance only that.
Verdict vrrp_view(const std::string& body, const std::vector<std::string>& words, bool as_json);
Verdict verify_result(const std::string& body);
/// Of `sync commit`: 1 when the kernel lacks any of them.
Verdict commit_result(const std::string& body);

/// The changes of state only, as JSON, out of vrrpd's status.
std::string events_json(const std::string& body);
/// JSON for people: indented. What is no JSON is given back as it is.
std::string indented(const std::string& json);

}  // namespace natctl

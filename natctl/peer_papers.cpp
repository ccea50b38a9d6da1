#include "natctl/peer_papers.hpp"

#include "common/config.hpp"
#include "common/redact.hpp"
#include "natctl/config_dump.hpp"
#include "natctl/json_reader.hpp"
#include "natctl/line_diff.hpp"

namespace natctl {
namespace {

/// Without the digest, which always differs and says nothing.
std::string meaning_of(const common::Config& config) {
  std::string lines = config_lines(config);
  const std::string digest = "digest: " + config.digest + "\n";
  if (const auto at = lines.find(digest); at != std::string::npos) lines.erase(at, digest.size());
  return lines;
}

/// 0 when it is none: a peer that does not tell is not one whose clock stands at 1970.
std::int64_t time_of(const Json& all) {
  constexpr double kLatestMs = 253'402'300'800'000;  // the year 10000
  const double ms = number_of(all, "time_ms");
  return ms > 0 && ms < kLatestMs ? static_cast<std::int64_t>(ms) : 0;
}

}  // namespace

std::optional<PeerPapers> read_papers(const std::string& json) {
  const Json all = parse_json(json);
  if (!all.is_object()) return std::nullopt;
  PeerPapers papers{.node = text_of(all, "node"),
                    .digest = text_of(all, "digest"),
                    .config = std::nullopt,
                    .config_withheld = text_of(all, "config_withheld"),
                    .time_ms = time_of(all),
                    .sysctls = {},
                    .helpers = std::nullopt};
  if (papers.node.empty() || papers.digest.empty()) return std::nullopt;
  if (field(all, "config").is_string()) papers.config = text_of(all, "config");
  if (const Json& sysctls = field(all, "sysctls"); sysctls.is_object())
    for (const auto& [name, value] : sysctls.items())
      if (value.is_string()) papers.sysctls[name] = value.get<std::string>();
  if (field(all, "helpers").is_array()) {
    papers.helpers.emplace();
    for (const Json& helper : array_of(all, "helpers"))
      if (helper.is_string()) papers.helpers->push_back(helper.get<std::string>());
  }
  return papers;
}

std::string file_diff(const std::string& ours, const std::string& theirs, const std::string& node) {
  const auto mine = common::parse_config(ours, "ours", node), other = common::parse_config(theirs, "theirs", node);
  if (mine.config && other.config)
    if (std::string diff = line_diff(meaning_of(*mine.config), meaning_of(*other.config)); !diff.empty()) return diff;
  // Theirs comes without what looks like a secret; ours is not to show one either.
  return line_diff(common::without_secrets(ours), common::without_secrets(theirs));
}

}  // namespace natctl

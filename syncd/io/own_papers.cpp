#include "syncd/io/own_papers.hpp"

#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>

#include "common/io/machine.hpp"
#include "common/pair_sysctls.hpp"
#include "common/redact.hpp"
#include "common/settings.hpp"

namespace syncd::io {

std::string collect_papers(const common::io::DaemonOptions& options, const common::Config& config,
                           const std::string& root) {
  using Json = nlohmann::ordered_json;
  using namespace std::chrono;
  Json papers{{"node", config.node}, {"digest", config.digest}, {"config", nullptr}};
  // Over a link without a key anybody could ask, and read along.
  const bool sealed = config.sync && !config.sync->key_file.empty();
  if (!sealed)
    papers["config_withheld"] = "the sync link has no key (security: none), so that the file does not go over it";
  else if (const auto text = common::io::read_file(options.config); text && text->size() <= common::kSettingsMaxSize)
    papers["config"] = common::without_secrets(*text);
  else
    papers["config_withheld"] = options.config + " cannot be read there";
  papers["time_ms"] = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
  Json& sysctls = papers["sysctls"] = Json::object();
  for (const std::string_view name : common::kPairSysctls)
    if (auto value = common::io::sysctl(name, root)) sysctls[std::string(name)] = std::move(*value);
  if (const auto helpers = common::io::conntrack_helpers(root)) papers["helpers"] = *helpers;
  // The file may hold anything: bytes that are no UTF-8 must not make the rest unreadable.
  return papers.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<TableSize> measure_table(const std::string& root) {
  const auto number = [&](std::string_view name) -> std::optional<std::uint64_t> {
    const auto text = common::io::sysctl(name, root);
    std::uint64_t value = 0;
    if (!text || std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc()) return {};
    return value;
  };
  const auto entries = number(common::kConntrackCount), most = number(common::kConntrackMax);
  const auto buckets = number(common::kConntrackBuckets);
  if (!entries || !most || !buckets) return std::nullopt;
  return TableSize{.entries = *entries, .most = *most, .buckets = *buckets};
}

}  // namespace syncd::io

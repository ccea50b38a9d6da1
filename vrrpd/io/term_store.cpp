#include "vrrpd/io/term_store.hpp"

#include <nlohmann/json.hpp>

#include "common/io/daemon.hpp"

namespace vrrpd::io {

using nlohmann::json;

TermStore::TermStore(std::string path) : path_(std::move(path)) {
  const auto text = common::io::read_file(path_);
  const json file = json::parse(text.value_or("{}"), nullptr, false);
  if (!file.is_object()) return;
  for (const auto& [group, entry] : file.items()) {
    if (!entry.is_object()) continue;
    const auto counter = entry.find("counter"), node = entry.find("node");
    if (counter == entry.end() || node == entry.end() || !counter->is_number_unsigned() || !node->is_string())
      continue;
    terms_[group] = {counter->get<std::uint64_t>(), node->get<std::string>()};
  }
}

std::vector<common::Hello::Seen> TermStore::terms() const {
  std::vector<common::Hello::Seen> result;
  for (const auto& [group, term] : terms_) result.push_back({group, term});
  return result;
}

common::Status TermStore::store(const StoreTerm& action) {
  terms_[action.group] = action.term;
  json file = json::object();
  for (const auto& [group, term] : terms_) file[group] = {{"counter", term.counter}, {"node", term.node}};
  return common::io::write_file(path_, file.dump() + "\n");
}

}  // namespace vrrpd::io

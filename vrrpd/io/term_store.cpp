#include "vrrpd/io/term_store.hpp"

#include <nlohmann/json.hpp>

#include "common/io/daemon.hpp"
#include "common/io/log.hpp"

namespace vrrpd::io {
namespace {

using nlohmann::json;

std::optional<StoreTerm> read_entry(const std::string& group, const json& entry) {
  if (!entry.is_object()) return std::nullopt;
  const auto counter = entry.find("counter"), node = entry.find("node"), held = entry.find("held");
  if (counter == entry.end() || node == entry.end() || !counter->is_number_unsigned() || !node->is_string())
    return std::nullopt;
  if (held != entry.end() && !held->is_boolean()) return std::nullopt;
  StoreTerm result{group, {counter->get<std::uint64_t>(), node->get<std::string>()}};
  if (!result.term.believable()) return std::nullopt;
  result.held = held != entry.end() && held->get<bool>();
  return result;
}

}  // namespace

TermStore::TermStore(std::string path) : path_(std::move(path)) {
  const auto text = common::io::read_file(path_);
  if (text) read(*text);
  if (damaged_)
    common::io::log(common::io::LogLevel::warning, "terms_damaged",
                    path_ + ": is damaged and not used: the terms are learned anew from syncd, the agent and the peer");
}

void TermStore::read(const std::string& text) {
  const json file = json::parse(text, nullptr, false);
  damaged_ = !file.is_object();
  if (damaged_) return;
  for (const auto& [group, entry] : file.items()) {
    if (auto known = read_entry(group, entry))
      groups_[group] = std::move(*known);
    else
      damaged_ = true;
  }
}

std::vector<common::Hello::Seen> TermStore::terms() const {
  std::vector<common::Hello::Seen> result;
  for (const auto& [group, known] : groups_) result.push_back({group, known.term});
  return result;
}

std::vector<std::string> TermStore::held() const {
  std::vector<std::string> result;
  for (const auto& [group, known] : groups_)
    if (known.held) result.push_back(group);
  return result;
}

common::Status TermStore::store(const StoreTerm& action) {
  groups_[action.group] = action;
  json file = json::object();
  for (const auto& [group, known] : groups_)
    file[group] = {{"counter", known.term.counter}, {"node", known.term.node}, {"held", known.held}};
  // A name comes from the peer or a participant: bytes that are no UTF-8 must not be an exception here.
  return common::io::write_file(path_, file.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
}

}  // namespace vrrpd::io

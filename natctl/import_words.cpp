#include "natctl/import_words.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace natctl::importer {

const Words* Words::child(std::string_view name) const {
  const auto found = std::ranges::find_if(children_, [&](const auto& each) { return each->text_ == name; });
  return found == children_.end() ? nullptr : found->get();
}

const Words* Words::find(std::string_view name) const {
  const Words* found = child(name);
  if (found) found->used_ = true;
  return found;
}

const Words* Words::find(std::initializer_list<std::string_view> path) const {
  const Words* at = this;
  for (const std::string_view name : path) {
    at = at->find(name);
    if (!at) return nullptr;
  }
  return at;
}

std::vector<const Words*> Words::each(std::string_view name) const {
  std::vector<const Words*> result;
  const Words* parent = find(name);
  if (!parent) return result;
  for (const auto& child : parent->children_) {
    child->used_ = true;
    result.push_back(child.get());
  }
  return result;
}

const Words* Words::value(std::string_view name) const {
  const std::vector<const Words*> all = each(name);
  return all.empty() ? nullptr : all.back();  // a later line of a `set` list replaces an earlier one
}

std::string Words::value_or(std::string_view name, std::string_view otherwise) const {
  const Words* found = value(name);
  return found ? found->text() : std::string(otherwise);
}

std::vector<std::string> Words::values(std::string_view name) const {
  std::vector<std::string> result;
  for (const Words* each_value : each(name)) result.push_back(each_value->text());
  return result;
}

bool Words::has(std::string_view name) const {
  return find(name) != nullptr;
}

void Words::take() const {
  used_ = true;
  for (const auto& child : children_) child->take();
}

bool Words::any_used() const {
  return used_ || std::ranges::any_of(children_, [](const auto& each) { return each->any_used(); });
}

bool Words::has_unused() const {
  return std::ranges::any_of(children_, [](const auto& each) { return !each->used_ || each->has_unused(); });
}

Words& Words::add(std::string text, Position at) {
  const auto found = std::ranges::find_if(children_, [&](const auto& each) { return each->text_ == text; });
  if (found != children_.end()) return **found;
  children_.push_back(std::make_unique<Words>(std::move(text), at));
  return *children_.back();
}

void Words::list_unused(Diagnostics& out) const {
  list_unused("", out);
}

void Words::list_unused(const std::string& path, Diagnostics& out) const {
  for (const auto& child : children_) {
    std::string here = path + common::printable(child->text_);
    if (child->any_used()) {
      child->list_unused(here + " ", out);
      continue;
    }
    // "duplex auto" says more than "duplex".
    if (child->children_.size() == 1 && child->children_.front()->children_.empty())
      here += " " + common::printable(child->children_.front()->text_);
    out.warning(child->at_, "not taken over: " + here);
  }
}

namespace {

/// A block has a name or a name and a value before it; a line without a block has a name and perhaps a value.
bool add_statements(const std::vector<Statement>& statements, Words& parent, Diagnostics& out) {
  constexpr std::size_t kMostWords = 2;
  for (const Statement& statement : statements) {
    if (statement.words.size() > kMostWords) {
      out.error(statement.words[kMostWords].at,
                fmt::format("expected a name, a value and then the end of the line, found {}",
                            common::quoted(statement.words[kMostWords].text)));
      return false;
    }
    Words* at = &parent;
    for (const Word& word : statement.words) at = &at->add(word.text, word.at);
    if (!add_statements(statement.block, *at, out)) return false;
  }
  return true;
}

bool add_set_lines(const std::vector<Statement>& statements, Words& root, Diagnostics& out) {
  for (const Statement& statement : statements) {
    if (statement.has_block) {
      out.error(statement.at(), "a block in a list of `set` commands");
      return false;
    }
    if (statement.name() != "set" || statement.words.size() == 1) {
      // Comments belong to people; everything else would change what the lines before it said.
      if (statement.name() == "comment") continue;
      out.error(statement.at(), fmt::format("expected `set` and a path, found {}", common::quoted(statement.name())));
      return false;
    }
    Words* at = &root;
    for (auto word = statement.words.begin() + 1; word != statement.words.end(); ++word)
      at = &at->add(word->text, word->at);
  }
  return true;
}

}  // namespace

std::optional<Words> parse_words(std::string_view text, Diagnostics& out) {
  std::vector<Statement> statements;
  if (!parse_statements(text, Comments::vyatta, out, statements)) return std::nullopt;
  if (statements.empty()) {
    out.error({1, 1}, "the file says nothing");
    return std::nullopt;
  }
  Words root;
  const bool list = statements.front().name() == "set" && !statements.front().has_block;
  if (list ? !add_set_lines(statements, root, out) : !add_statements(statements, root, out)) return std::nullopt;
  return root;
}

}  // namespace natctl::importer

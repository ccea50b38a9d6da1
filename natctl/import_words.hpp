#pragma once
// A Vyatta or VyOS configuration as a tree of words. Its blocks and its `set` lists say the same: each word is a node
// under the word before it, so that "rule 10 { action accept }" and "set ... rule 10 action accept" are one thing.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "natctl/import_statement.hpp"

namespace natctl::importer {

class Words {
 public:
  Words() = default;
  Words(std::string text, Position at) : text_(std::move(text)), at_(at) {}

  const std::string& text() const { return text_; }
  Position at() const { return at_; }
  const std::vector<std::unique_ptr<Words>>& children() const { return children_; }

  /// The node under this one, which is read by that; none when there is none.
  const Words* find(std::string_view name) const;
  /// The same along a path of words.
  const Words* find(std::initializer_list<std::string_view> path) const;
  /// The nodes below that name: "10" and "20" of "rule 10", "rule 20". They are read by that.
  std::vector<const Words*> each(std::string_view name) const;
  /// The only word below that name, and where it stands.
  const Words* value(std::string_view name) const;
  std::string value_or(std::string_view name, std::string_view otherwise) const;
  /// All words below that name, as texts.
  std::vector<std::string> values(std::string_view name) const;
  /// The name is there: read as a whole, when nothing stands below it.
  bool has(std::string_view name) const;
  /// It and all below it have been read, or are without meaning.
  void take() const;
  bool has_unused() const;  ///< below it

  Words& add(std::string text, Position at);  ///< finds what is there already
  void list_unused(Diagnostics& out) const;

 private:
  const Words* child(std::string_view name) const;
  bool any_used() const;
  void list_unused(const std::string& path, Diagnostics& out) const;

  std::string text_;
  Position at_;
  std::vector<std::unique_ptr<Words>> children_;
  mutable bool used_ = false;
};

/// Blocks or a `set` list, whichever the text is. None after a mistake.
std::optional<Words> parse_words(std::string_view text, Diagnostics& out);

}  // namespace natctl::importer

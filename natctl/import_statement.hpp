#pragma once
// The common shape of these files: a statement is a line of words, perhaps with a block of statements in braces.
#include <string>
#include <string_view>
#include <vector>

#include "common/settings.hpp"

namespace natctl::importer {

using common::Diagnostics;
using common::Position;

struct Word {
  std::string text;
  Position at;
};

struct Statement {
  std::vector<Word> words;  ///< at least one
  bool has_block = false;
  std::vector<Statement> block;
  mutable bool used = false;  ///< somebody has read it

  const std::string& name() const { return words.front().text; }
  Position at() const { return words.front().at; }
  /// The word after the name; empty when there is none.
  std::string_view value(std::size_t index = 1) const {
    return index < words.size() ? std::string_view(words[index].text) : std::string_view();
  }
};

enum class Comments {
  vyatta,      ///< /* to */ and from // to the end of the line
  keepalived,  ///< from # or ! to the end of the line
  conntrackd,  ///< from # to the end of the line
};

/// False, and a mistake with its place, when the text has no such shape.
bool parse_statements(std::string_view text, Comments comments, Diagnostics& out, std::vector<Statement>& into);

/// Names what nobody has read, each block as a whole where nothing of it was read.
void list_unused(const std::vector<Statement>& statements, Diagnostics& out);

}  // namespace natctl::importer

#include "natctl/import_statement.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "natctl/import.hpp"

namespace natctl::importer {
namespace {

struct Token {
  enum class Kind { word, open, close, line_end, end } kind = Kind::end;
  std::string text;
  Position at;
};

class Lexer {
 public:
  Lexer(std::string_view text, Comments comments, Diagnostics& out) : text_(text), comments_(comments), out_(out) {}

  /// False after a mistake.
  bool next(Token& token);

 private:
  bool at_end() const { return position_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const { return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0'; }
  void advance();
  bool skip_comment(bool& skipped);
  bool starts_line_comment() const;
  bool quoted_word(Token& token);
  bool word(Token& token);
  bool mistake(Position at, std::string text) {
    out_.error(at, std::move(text));
    return false;
  }

  std::string_view text_;
  Comments comments_;
  Diagnostics& out_;
  std::size_t position_ = 0;
  Position at_{1, 1};
};

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}
bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\r' && c != '\n') || byte == 0x7f;
}

void Lexer::advance() {
  if (text_[position_++] == '\n') {
    ++at_.line;
    at_.column = 1;
  } else {
    ++at_.column;
  }
}

bool Lexer::starts_line_comment() const {
  switch (comments_) {
    case Comments::vyatta:
      return peek() == '/' && peek(1) == '/';
    case Comments::keepalived:
      return peek() == '#' || peek() == '!';
    case Comments::conntrackd:
      return peek() == '#';
  }
  return false;
}

bool Lexer::skip_comment(bool& skipped) {
  skipped = false;
  if (starts_line_comment()) {
    while (!at_end() && peek() != '\n') advance();
    skipped = true;
  } else if (comments_ == Comments::vyatta && peek() == '/' && peek(1) == '*') {
    const Position begin = at_;
    while (!(peek() == '*' && peek(1) == '/')) {
      if (at_end()) return mistake(begin, "this comment does not end");
      advance();
    }
    advance();
    advance();
    skipped = true;
  }
  return true;
}

bool Lexer::quoted_word(Token& token) {
  const char quote = peek();
  advance();
  while (peek() != quote) {
    if (at_end() || (peek() == '\n' && comments_ != Comments::vyatta))
      return mistake(token.at, "this quotation does not end");
    if (is_control(peek())) return mistake(at_, "a byte that no configuration has");
    if (peek() == '\\' && (peek(1) == quote || peek(1) == '\\')) advance();
    token.text += peek();
    advance();
  }
  advance();
  return true;
}

bool Lexer::word(Token& token) {
  while (!at_end() && !is_space(peek()) && peek() != '\n' && peek() != '{' && peek() != '}') {
    if (is_control(peek())) return mistake(at_, "a byte that no configuration has");
    token.text += peek();
    advance();
  }
  return true;
}

bool Lexer::next(Token& token) {
  token = {};
  for (;;) {
    while (!at_end() && is_space(peek())) advance();
    bool skipped = false;
    if (!skip_comment(skipped)) return false;
    if (!skipped) break;
  }
  token.at = at_;
  if (at_end()) return true;
  switch (peek()) {
    case '\n':
      token.kind = Token::Kind::line_end;
      advance();
      return true;
    case '{':
      token.kind = Token::Kind::open;
      advance();
      return true;
    case '}':
      token.kind = Token::Kind::close;
      advance();
      return true;
    case '"':
    case '\'':
      token.kind = Token::Kind::word;
      return quoted_word(token);
    default:
      token.kind = Token::Kind::word;
      return word(token);
  }
}

class Parser {
 public:
  Parser(std::string_view text, Comments comments, Diagnostics& out) : lexer_(text, comments, out), out_(out) {}
  bool parse(std::vector<Statement>& into) { return block(into, 0, {}); }

 private:
  bool block(std::vector<Statement>& into, int depth, Position opened);
  bool open(std::vector<Statement>& into, const Token& token, int depth);
  void finish(std::vector<Statement>& into);

  Lexer lexer_;
  Diagnostics& out_;
  std::vector<Word> line_;  ///< the words of the statement that is being read
};

void Parser::finish(std::vector<Statement>& into) {
  if (line_.empty()) return;
  Statement statement;
  statement.words = std::move(line_);
  line_.clear();
  into.push_back(std::move(statement));
}

/// The brace may stand on a line of its own.
bool Parser::open(std::vector<Statement>& into, const Token& token, int depth) {
  finish(into);
  if (into.empty() || into.back().has_block) {
    out_.error(token.at, "a block without a name before it");
    return false;
  }
  if (depth == kDeepest) {
    out_.error(token.at, fmt::format("blocks within blocks, more than {}", kDeepest));
    return false;
  }
  into.back().has_block = true;
  return block(into.back().block, depth + 1, token.at);
}

bool Parser::block(std::vector<Statement>& into, int depth, Position opened) {
  Token token;
  while (lexer_.next(token)) {
    switch (token.kind) {
      case Token::Kind::word:
        line_.push_back({std::move(token.text), token.at});
        break;
      case Token::Kind::line_end:
        finish(into);
        break;
      case Token::Kind::open:
        if (!open(into, token, depth)) return false;
        break;
      case Token::Kind::close:
        finish(into);
        if (depth > 0) return true;
        out_.error(token.at, "this brace closes nothing");
        return false;
      case Token::Kind::end:
        finish(into);
        if (depth == 0) return true;
        out_.error(opened, "the file ends before this block does");
        return false;
    }
  }
  return false;
}

bool any_used(const Statement& statement) {
  return statement.used || std::ranges::any_of(statement.block, any_used);
}

std::string words_of(const Statement& statement) {
  std::string text;
  for (const Word& word : statement.words) text += (text.empty() ? "" : " ") + common::printable(word.text);
  return text;
}

void list(const std::vector<Statement>& statements, const std::string& path, Diagnostics& out) {
  for (const Statement& statement : statements) {
    const std::string here = path + words_of(statement);
    if (any_used(statement))
      list(statement.block, here + " > ", out);
    else
      out.warning(statement.at(), "not taken over: " + here);
  }
}

}  // namespace

bool parse_statements(std::string_view text, Comments comments, Diagnostics& out, std::vector<Statement>& into) {
  if (text.size() > kMostBytes) {
    out.error({1, 1}, fmt::format("the file is longer than {} bytes", kMostBytes));
    return false;
  }
  return Parser(text, comments, out).parse(into);
}

void list_unused(const std::vector<Statement>& statements, Diagnostics& out) {
  list(statements, "", out);
}

}  // namespace natctl::importer

#pragma once
// Small pieces of nftables' language, put together by nft.cpp.
#include <initializer_list>
#include <string>
#include <string_view>

#include "natctl/ruleset.hpp"

namespace natctl {

/// Lines with indentation.
class Writer {
 public:
  void line(std::string_view text);
  void open(std::string_view head);  ///< head {
  void close();                      ///< }
  /// A chain at a hook. The policy is always accept: the kernel lets packets through a chain that is being
  /// made.
  void base(std::string_view name, std::string_view type, std::string_view hook, std::string_view priority);
  /// One rule from its parts; empty ones are left out.
  void rule(std::initializer_list<std::string> parts);
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  int depth_ = 0;
};

std::string in_quotes(std::string_view text);
std::string prefix_text(std::string_view field, const common::Prefix& prefix);  ///< ip saddr 10.0.0.0/8
std::string match_text(const Match& match);
std::string comment_text(int number, const std::string& description);

}  // namespace natctl

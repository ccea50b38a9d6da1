#pragma once
// Small pieces of nftables' language, put together by nft.cpp and nft_nat.cpp.
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

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
  /// The same, unless this chain has had just this rule: many translations may begin alike.
  void rule_once(std::initializer_list<std::string> parts);
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
  std::unordered_set<std::string> in_chain_;
  int depth_ = 0;
};

std::string in_quotes(std::string_view text);
std::string join(std::initializer_list<std::string> parts);                     ///< by spaces; empty ones are left out
std::string prefix_text(std::string_view field, const common::Prefix& prefix);  ///< ip saddr 10.0.0.0/8
std::string range_text(const common::AddressRange& range);                      ///< as an element of a set
/// "ip daddr { a, b }" and "ip6 daddr { c }", as far as there are any.
std::vector<std::string> by_family(std::string_view field, const std::vector<common::AddressRange>& ranges);
std::string group_set_name(std::string_view kind, std::string_view group);  ///< "address_servers", "port_web"
std::string interface_text(std::string_view field, const common::InterfaceSet& set);
std::string match_text(const Match& match);

/// "counter drop comment "10: web #1f00baa4"", with a log before the verdict if wanted. What stands behind the # is
/// the same as long as the rule is, whatever its description: counters are kept by it.
std::string counted(const std::string& chain, const std::string& match, const std::string& verdict,
                    const std::string& label, const std::string& description, const std::string& log_prefix);

}  // namespace natctl

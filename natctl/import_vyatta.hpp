#pragma once
// The readers of the parts of a Vyatta or VyOS file. Only natctl/import_vyatta*.cpp include this.
#include <map>
#include <string>

#include "natctl/import_model.hpp"
#include "natctl/import_words.hpp"

namespace natctl::importer {

struct VyattaReader {
  Router& router;
  Diagnostics& out;
  bool rewrite_masquerade = false;
  /// Our names of their groups, which have one name space for each kind: "address-group X" -> "X". A group without
  /// members has none.
  std::map<std::string, std::string> groups = {};

  void warn(const Words& at, std::string text) const { out.warning(at.at(), std::move(text)); }
};

void read_groups(VyattaReader& reader, const Words& root);
void read_nat(VyattaReader& reader, const Words& root);
/// The rule sets first: what hangs them up refers to them.
void read_firewall_sets(VyattaReader& reader, const Words& root);
void read_firewall_hooks(VyattaReader& reader, const Words& root);
/// The rule sets that hang on an interface: `firewall in name X` and the like below it.
void read_interface_firewall(VyattaReader& reader, const Words& interface, const std::string& name);

/// Addresses, ports, protocol and interfaces of a rule. False: it says something that our file cannot, so that the
/// rule would hold for more than it was meant for.
bool read_match(const VyattaReader& reader, const Words& rule, Rule& into);
bool read_interface(const VyattaReader& reader, const Words& rule, const char* theirs, const char* ours, Rule& into);
/// What all rules have; false as above. `number` is the rule's own word.
std::optional<int> rule_number(const VyattaReader& reader, const Words& rule);
void read_description(const VyattaReader& reader, const Words& rule, std::vector<Field>& into);
/// `log enable` in old files, `log` in new ones.
bool is_enabled(const Words& node, const char* name);

}  // namespace natctl::importer

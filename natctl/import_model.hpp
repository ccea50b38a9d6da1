#pragma once
// What has been read of one router, in the words of our file but for what only both routers together say.
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "natctl/import_statement.hpp"

namespace natctl::importer {

/// One key of our file and its value: one item, or several as a list.
struct Field {
  std::string key;
  std::vector<std::string> items;
  bool list = false;
  bool operator==(const Field&) const = default;
};

struct Rule {
  int number = 0;
  Position at;
  std::vector<Field> fields;

  const Field* find(std::string_view key) const;
  void add(std::string key, std::string value) { fields.push_back({std::move(key), {std::move(value)}, false}); }
  void add(std::string key, std::vector<std::string> items);  ///< nothing when there are none
};

struct RuleSet {
  std::string name;
  Position at;
  std::vector<Field> fields;
  std::vector<std::pair<std::string, std::string>> hooks;  ///< interface and direction
  std::vector<Rule> rules;
};

struct Group {
  std::string name;
  Position at;
  std::vector<std::string> items;
  bool operator==(const Group& other) const { return name == other.name && items == other.items; }
};

struct InterfaceAddress {
  std::string interface;
  std::string address;  ///< with its prefix length
  Position at;
};

struct Hook {
  std::string key;  ///< notify, master, backup, fault, stop
  std::string path;
  Position at;
  bool operator==(const Hook& other) const { return key == other.key && path == other.path; }
};

/// One entry of `track`.
struct Track {
  std::string name;
  Position at;
  std::vector<Field> fields;
  const Word* weight = nullptr;  ///< while it is read: not yet among the fields
  bool operator==(const Track& other) const { return name == other.name && fields == other.fields; }
};

struct Instance {
  std::string name;
  Position at;
  std::string interface;
  int vrid = 0;
  Position vrid_at;
  std::vector<Word> addresses;
  std::vector<Word> excluded;  ///< live with the others, and adverts do not list them
  int priority = 100;
  std::string interval = "1s";
  bool preempt = true;
  int preempt_delay = 0;
  std::string group;     ///< of instances that move together; empty: none given
  std::string password;  ///< compared, not taken over
  Position password_at;
  std::vector<Hook> hooks;
  std::vector<Track> tracks;
};

struct SyncLinkModel {
  std::string interface;
  Position at;
  std::string local, peer;  ///< empty: not said
  std::string multicast{};  ///< the group that both send to; empty: none
};

struct Router {
  std::string file;  ///< for messages
  std::string name;
  Position name_at{1, 1};
  std::string gateway;
  std::vector<InterfaceAddress> addresses;
  std::vector<Instance> instances;
  std::vector<std::pair<std::string, Hook>> group_hooks;    ///< by group
  std::vector<std::pair<std::string, Track>> group_tracks;  ///< likewise
  std::vector<SyncLinkModel> links;
  std::vector<std::string> sync_groups;
  std::vector<Group> address_groups, port_groups;
  std::vector<Rule> source, destination, one_to_one;
  std::vector<RuleSet> firewall;

  bool empty() const;
};

/// Each reads one router and says what it did not understand; false after a mistake that makes the rest worthless.
bool read_vyatta(std::string_view text, Diagnostics& out, bool rewrite_masquerade, Router& into);
bool read_keepalived(std::string_view text, Diagnostics& out, Router& into);
bool read_conntrackd(std::string_view text, Diagnostics& out, Router& into);

/// The one of the words that our file has for a port: a number, or the number of a service's name.
std::optional<std::string> port_number(std::string_view word);
/// "80-90" of two such words, the first no greater than the second.
std::optional<std::string> port_range(std::string_view first, std::string_view last);
/// The kernel, and so our file, allows it as the name of an interface.
bool is_interface(std::string_view name);
/// A name as our file allows it: other signs become '-'.
std::string safe_name(std::string_view name);

/// What the second router says otherwise than the first is named, and the first one's word is taken.
struct Pair {
  Router first;
  std::optional<Router> second;
  std::map<std::string, std::string> interfaces = {};  ///< the second router's own names, by the first one's
};
/// Where its file does not say it, the address of a link is that of its interface.
void complete_links(Router& router, Diagnostics& out);
void merge(Pair& pair, Diagnostics& first_out, Diagnostics* second_out);

}  // namespace natctl::importer

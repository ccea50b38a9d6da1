#include "natctl/import_model.hpp"

#include <algorithm>
#include <charconv>

namespace natctl::importer {
namespace {

struct Service {
  std::string_view name;
  int port;
};
/// Of /etc/services what such configurations use; the file itself is the operating system's.
constexpr Service kServices[] = {
    {"ftp-data", 20},
    {"ftp", 21},
    {"ssh", 22},
    {"telnet", 23},
    {"smtp", 25},
    {"time", 37},
    {"tacacs", 49},
    {"domain", 53},
    {"bootps", 67},
    {"bootpc", 68},
    {"tftp", 69},
    {"finger", 79},
    {"http", 80},
    {"www", 80},
    {"kerberos", 88},
    {"pop3", 110},
    {"sunrpc", 111},
    {"auth", 113},
    {"ident", 113},
    {"nntp", 119},
    {"ntp", 123},
    {"netbios-ns", 137},
    {"netbios-dgm", 138},
    {"netbios-ssn", 139},
    {"imap", 143},
    {"imap2", 143},
    {"snmp", 161},
    {"snmp-trap", 162},
    {"snmptrap", 162},
    {"bgp", 179},
    {"irc", 194},
    {"ldap", 389},
    {"https", 443},
    {"microsoft-ds", 445},
    {"submissions", 465},
    {"isakmp", 500},
    {"exec", 512},
    {"login", 513},
    {"shell", 514},
    {"syslog", 514},
    {"printer", 515},
    {"rip", 520},
    {"submission", 587},
    {"ipp", 631},
    {"ldaps", 636},
    {"rsync", 873},
    {"ftps", 990},
    {"imaps", 993},
    {"pop3s", 995},
    {"socks", 1080},
    {"openvpn", 1194},
    {"ms-sql-s", 1433},
    {"l2f", 1701},
    {"l2tp", 1701},
    {"h323", 1720},
    {"pptp", 1723},
    {"radius", 1812},
    {"radius-acct", 1813},
    {"nfs", 2049},
    {"mysql", 3306},
    {"ms-wbt-server", 3389},
    {"ipsec-nat-t", 4500},
    {"sip", 5060},
    {"sip-tls", 5061},
    {"xmpp-client", 5222},
    {"postgresql", 5432},
    {"x11", 6000},
    {"http-alt", 8080},
};

}  // namespace

const Field* Rule::find(std::string_view key) const {
  const auto found = std::ranges::find(fields, key, &Field::key);
  return found == fields.end() ? nullptr : &*found;
}

void Rule::add(std::string key, std::vector<std::string> items) {
  if (items.empty()) return;
  const bool list = items.size() > 1;
  fields.push_back({std::move(key), std::move(items), list});
}

bool Router::empty() const {
  return instances.empty() && links.empty() && source.empty() && destination.empty() && one_to_one.empty() &&
         firewall.empty();
}

std::optional<std::string> port_number(std::string_view word) {
  int port = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), port);
  if (error == std::errc() && end == word.data() + word.size())
    return port >= 1 && port <= 65535 ? std::optional(std::to_string(port)) : std::nullopt;
  const auto service = std::ranges::find(kServices, word, &Service::name);
  return service == std::end(kServices) ? std::nullopt : std::optional(std::to_string(service->port));
}

std::optional<std::string> port_range(std::string_view first, std::string_view last) {
  const auto a = port_number(first), b = port_number(last);
  if (!a || !b || std::stoi(*a) > std::stoi(*b)) return std::nullopt;
  return *a == *b ? *a : *a + "-" + *b;
}

bool is_interface(std::string_view name) {
  constexpr std::size_t kLongest = 15;  // the kernel's IFNAMSIZ less the terminating zero
  constexpr std::string_view kNever = "/:\"\\*";
  return !name.empty() && name.size() <= kLongest && name != "." && name != ".." &&
         std::ranges::all_of(name, [&](char c) { return c > ' ' && c < 0x7f && kNever.find(c) == kNever.npos; });
}

std::string safe_name(std::string_view name) {
  constexpr std::size_t kLongest = 60;  // of the 63 that our names may have: a little may be put behind it
  std::string result;
  for (const char c : name.substr(0, kLongest)) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                      ((c == '-' || c == '.') && !result.empty());
    result += good ? c : result.empty() ? 'x' : '-';
  }
  return result.empty() ? "x" : result;
}

}  // namespace natctl::importer

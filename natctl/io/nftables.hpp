#pragma once
// nftables in this process, by libnftables: a transaction takes a fraction of a millisecond, where starting
// the program `nft` takes twenty.
#include <memory>
#include <string>

#include "common/io/unique_fd.hpp"
#include "common/result.hpp"

namespace natctl::io {

class Nftables {
 public:
  Nftables();
  ~Nftables();

  /// All of the text or nothing of it. An error is one line that shows what was refused.
  common::Status run(const std::string& text);
  /// As `nft -c`: nothing is changed. Needs the same privileges.
  common::Status check(const std::string& text);
  /// The JSON of what the table holds; an empty string when there is no such table.
  common::Result<std::string> list();
  /// What the table holds as text for people, without counts; an empty string when there is no such table.
  common::Result<std::string> list_text();

 private:
  struct Context;
  common::Result<std::string> list_with(unsigned flags);
  common::Status execute(const std::string& text);
  std::unique_ptr<Context> context_;
  int errors_ = 0;
};

/// The text as the kernel would list it, tried in a network namespace of its own that is gone afterwards. An error is
/// what the kernel has against it. Needs root.
common::Result<std::string> as_listed(const std::string& text);

/// Hears of changes to our table, by whomever. Who did it cannot be told (process numbers differ between
/// namespaces), but they can be counted: a transaction of ours makes one.
class TableWatch {
 public:
  static common::Result<TableWatch> open();
  int fd() const { return fd_.get(); }
  /// How many transactions have touched the table since the last call; more than can be when that is not
  /// known.
  int touched();
  static constexpr int kUnknown = 1000000;

 private:
  explicit TableWatch(common::io::UniqueFd fd) : fd_(std::move(fd)) {}
  int read(const void* data, std::size_t size);
  common::io::UniqueFd fd_;
  bool in_batch_ = false;  ///< the transaction whose notifications are being read has touched it
};

}  // namespace natctl::io

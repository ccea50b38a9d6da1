#pragma once
// The newest terms of this boot, in a file: a vrrpd that was killed and started again goes on counting.
#include <map>
#include <string>

#include "common/result.hpp"
#include "vrrpd/engine.hpp"

namespace vrrpd::io {

class TermStore {
 public:
  /// A missing or unreadable file is an empty one: the participants tell the terms that they know as well.
  explicit TermStore(std::string path);
  std::vector<common::Hello::Seen> terms() const;
  common::Status store(const StoreTerm& action);

 private:
  std::string path_;
  std::map<std::string, common::Term> terms_;
};

}  // namespace vrrpd::io

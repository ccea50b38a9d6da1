#pragma once
// What a group must not forget in this boot, in a file: a vrrpd that was killed and started again goes on counting
// terms, and leaves a group that an operator moved away where it is.
#include <map>
#include <string>
#include <vector>

#include "common/result.hpp"
#include "vrrpd/engine.hpp"

namespace vrrpd::io {

class TermStore {
 public:
  /// A missing file is an empty one: the participants tell the terms that they know as well. So is a damaged one, or
  /// what is damaged in it, but that is logged.
  explicit TermStore(std::string path);
  std::vector<common::Hello::Seen> terms() const;
  std::vector<std::string> held() const;
  common::Status store(const StoreTerm& action);
  bool damaged() const { return damaged_; }

 private:
  void read(const std::string& text);

  std::string path_;
  std::map<std::string, StoreTerm> groups_;
  bool damaged_ = false;
};

}  // namespace vrrpd::io

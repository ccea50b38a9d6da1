#pragma once
// Single messages are read at once; those of a stream are left to gather for a moment, because a turn of the loop for
// each of them costs ten times what the message itself does.
#include <cstddef>

#include "common/time.hpp"

namespace syncd::io {

class Gathering {
 public:
  struct Rule {
    common::Duration soon;  ///< a turn this soon after the one before is a fast one
    int turns;              ///< so many fast ones in a row are a stream
    std::size_t portion;    ///< fewer than this in what has gathered are none any more
  };
  explicit Gathering(Rule rule) : rule_(rule) {}

  bool on() const { return on_; }
  /// A portion of `count` has been read now. True: the next one is left to gather.
  bool served(common::Time now, std::size_t count) {
    if (on_ && count < rule_.portion) {
      stop();
    } else if (!on_) {
      fast_turns_ = now - served_at_ < rule_.soon ? fast_turns_ + 1 : 0;
      on_ = fast_turns_ >= rule_.turns;
    }
    served_at_ = now;
    return on_;
  }
  void stop() {
    on_ = false;
    fast_turns_ = 0;
  }

 private:
  Rule rule_;
  bool on_ = false;
  int fast_turns_ = 0;
  common::Time served_at_{};
};

}  // namespace syncd::io

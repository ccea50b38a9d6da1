#pragma once
namespace common {

/// Makes one visitor for std::visit out of several lambdas.
template <typename... Ts>
struct Overload : Ts... {
  using Ts::operator()...;
};

}  // namespace common

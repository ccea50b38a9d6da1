#pragma once
// Expectations within a record: one of the extras of the flow that announced them, so that they come, go, are compared
// and are repaired as everything else of that flow.
//
//   form        1     bits 0 IPv6 | 1 source port counts | 2 translated | 3 of the reply direction | 4 saved address
//                     follows | 5 function is "nat-follow-master" | 6 name of another function follows | 7 zero
//   protocol 1, kind 1, flags 1, bits of the source address that count 1
//   tuple       12|36 source, destination, source port, destination port; what does not count is zero
//   saved       0|2|6|18  address if there is one, port
//   function    0|1+n length, name
#include <optional>
#include <vector>

#include "syncd/flow.hpp"
#include "syncd/record_bytes.hpp"

namespace syncd::record_bytes {

std::size_t size_of(const Expectation& expectation);
void write_expectation(const Expectation& expectation, Pen& pen);
/// One or more, in ascending order, each in the one form that write_expectation() gives it; none: it is something else.
std::optional<std::vector<Expectation>> read_expectations(ByteView bytes);

}  // namespace syncd::record_bytes

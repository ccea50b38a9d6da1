#pragma once
// Records as peers before kProtocolOfExtras have them: as in record.hpp, without extras and master, and the timeout is
// not doubled. What a connection lacks thereby is what that release would not have known of it either.
#include <expected>

#include "syncd/record.hpp"

namespace syncd {

/// Appends proper records in the older form. Of a flow that has ended only the key is said, in both alike.
void append_older(common::ByteView records, common::Bytes& out);
/// Appends older records in today's form, up to the first that is none.
std::expected<void, RecordError> append_from_older(common::ByteView records, common::Bytes& out);
/// Proper records, as they are after a way to an older peer and back: what can be compared with its own.
common::Bytes without_extras(common::ByteView records);

}  // namespace syncd

#pragma once
// Texts that are shown to somebody else: what looks like a secret is left out.
#include <string>
#include <string_view>

namespace common {

/// The text with the rest of each line left out that gives a password, secret, passphrase, token or key in it, in a
/// comment as well. A configuration has only names of files there (`key_file`, `password_file`), which stay: this is
/// for the line that somebody wrote by mistake.
std::string without_secrets(std::string_view text);

}  // namespace common

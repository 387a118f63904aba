#pragma once

#include <string>

#include "base/result.h"

namespace backfill::coordinator {

// Makes the directory of a socket if need be and removes the socket of a predecessor. Only we may
// enter the directory: before the socket has its own mode, and whatever that mode is. kInvalid: the
// path is too long, or names something else, or the directory is open to others; kUnavailable.
Status PrepareSocket(const std::string& path);
// Once something listens there.
Status CloseSocketToOthers(const std::string& path);

}  // namespace backfill::coordinator

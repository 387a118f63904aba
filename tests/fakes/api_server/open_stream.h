#pragma once

#include <deque>
#include <string>

#include "base/clock.h"
#include "tests/fakes/api_server/selector.h"

namespace backfill::fakes {

// A watch that somebody reads. Guarded by the server's lock.
struct OpenStream {
  const FakeKind* kind = nullptr;
  Selector selector;
  std::string ns;
  bool bookmarks = false;
  Representation as = Representation::kWhole;

  std::uint64_t seen = 0;           // changes up to here are delivered or none of its business
  std::deque<std::string> pending;  // lines to deliver before anything else
  bool frozen = false;
  bool reading = false;  // its reader is at a line
  enum class End { kNone, kCut, kEnded, kAfterPending };
  End end = End::kNone;

  Time last_line;  // or when it began
  Time next_bookmark;
  Time ends;  // by its timeoutSeconds
};

}  // namespace backfill::fakes

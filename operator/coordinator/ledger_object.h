#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace backfill::coordinator {

// What stands in the content of a BackfillLedger object, as JSON:
// {"epoch":E,"seq":N,"chunks":C,"writer":"<hex>","data":"<base64>"}
struct LedgerContent {
  Epoch epoch;                 // of the leader that wrote it
  std::uint64_t sequence = 0;  // + 1 per write of this object
  int chunks = 0;  // of the whole stage, so that a missing last one is noticed; 0 in a failure page
  std::string writer;  // random per writer: tells our own lost answer from another leader's write
  std::string data;    // encoded by operator/ledger
};

std::string EncodeContent(const LedgerContent& content);

// kInternal: not such an object; the message says why. Safe for any text.
Result<LedgerContent> DecodeContent(std::string_view json);

}  // namespace backfill::coordinator

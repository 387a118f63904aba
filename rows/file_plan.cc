#include "rows/file_plan.h"

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <utility>

#include "rows/key_order.h"
#include "rows/pieces.h"
#include "rows/row_parser.h"
#include "rows/row_reader.h"

namespace backfill::rows {
namespace {

constexpr std::size_t kSamples = 10;
constexpr std::uint64_t kProgressBytes = std::uint64_t{8} << 20;
constexpr std::uint64_t kPieceRecords = 1'000;

std::uint64_t DivideUp(std::uint64_t a, std::uint64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

Error TooManyShards(std::uint64_t records, std::uint64_t shards, const PlanOptions& options) {
  return Error{ErrorCode::kInvalid,
               std::to_string(records) + " records in shards of " +
                   std::to_string(options.records_per_shard) + " make " + std::to_string(shards) +
                   " shards; at most " + std::to_string(options.max_shards) +
                   " are allowed: set recordsPerShard to " +
                   std::to_string(DivideUp(records, options.max_shards)) + " or more"};
}

// One pass over a file.
class Planning {
 public:
  Planning(ByteSource& source, const FileFormat& format, const PlanOptions& options)
      : source_(source),
        format_(format),
        options_(options),
        pieces_(options.records_per_shard > 0 ? Pieces::Limits{.records = options.records_per_shard,
                                                               .join = false,
                                                               .pieces = options.max_shards}
                                              : Pieces::Limits{.records = kPieceRecords,
                                                               .join = true,
                                                               .pieces = 2 * options.max_shards}) {}

  Result<FilePlan> Run(const std::stop_token& stop);
  Result<std::vector<std::string>> Header(const std::stop_token& stop);

 private:
  Status Start(const std::stop_token& stop);
  Status LookAt(const RowBatch& batch, const std::stop_token& stop);
  Status CountFromTheFront(const std::stop_token& stop);
  void Count(std::span<const KeyOrFault> keys);
  void AddFetched();
  [[nodiscard]] std::unique_ptr<DuplicateCounter> MakeCounter() const;
  void TakeSamples(const RowBatch& batch);
  Result<FilePlan> Finish();
  void Tell();

  ByteSource& source_;
  const FileFormat& format_;
  const PlanOptions& options_;
  Pieces pieces_;
  FilePlan plan_;

  std::unique_ptr<ByteStream> stream_;
  std::unique_ptr<RowReader> reader_;
  std::unique_ptr<RowParser> parser_;
  KeyOrder order_;                                               // counts repeated keys as long as
  std::unique_ptr<DuplicateCounter> duplicates_;                 // is not there
  RowBatch first_;                                               // what was read with the header
  std::array<std::uint64_t, RowScanner::kBatchRows> fetched_{};  // hashes of the batch before
  std::size_t fetched_count_ = 0;
  std::uint64_t told_ = 0;
};

// Reads as far as the format's first look needs.
Status Planning::Start(const std::stop_token& stop) {
  plan_.shape.stored_bytes = source_.stored_bytes();
  stream_ = TRY(source_.Open(0, kToTheEnd, stop));
  reader_ = std::make_unique<RowReader>(*stream_, format_.format, format_.delimiter);
  if (format_.format == Format::kCsv) {
    const RowBatch* batch = nullptr;
    do {
      batch = TRY(reader_->Next(stop));
      if (batch == nullptr) {
        return Error{ErrorCode::kInvalid,
                     "the file is empty; a Csv file begins with a row of column names"};
      }
    } while (batch->rows.empty());
    plan_.shape.columns = TRY(ParseCsvHeader(*batch, batch->rows.front()));
    first_ = *batch;
    first_.rows = first_.rows.subspan(1);
  }
  return Ok{};
}

Result<std::vector<std::string>> Planning::Header(const std::stop_token& stop) {
  TRY(Start(stop));
  return std::move(plan_.shape.columns);
}

Result<FilePlan> Planning::Run(const std::stop_token& stop) {
  TRY(Start(stop));
  parser_ = TRY(MakeRowParser(format_, plan_.shape.columns));
  if (!source_.cheap_to_reread()) duplicates_ = MakeCounter();
  if (!first_.rows.empty()) {
    TRY(LookAt(first_, stop));
    TRY(pieces_.Add(first_));
  }
  for (;;) {
    const RowBatch* const batch = TRY(reader_->Next(stop));
    if (batch == nullptr) break;
    if (!batch->rows.empty()) TRY(LookAt(*batch, stop));
    TRY(pieces_.Add(*batch));
    if (reader_->bytes() - told_ >= kProgressBytes) Tell();
  }
  return Finish();
}

std::unique_ptr<DuplicateCounter> Planning::MakeCounter() const {
  // A compressed file may hold many times what is stored.
  return std::make_unique<DuplicateCounter>(
      source_.seekable() ? plan_.shape.stored_bytes.value_or(0) : 0);
}

Status Planning::LookAt(const RowBatch& batch, const std::stop_token& stop) {
  std::span<const KeyOrFault> keys = parser_->Keys(batch);
  if (duplicates_ == nullptr && !order_.Add(keys)) {
    duplicates_ = MakeCounter();
    TRY(CountFromTheFront(stop));
    keys = parser_->Keys(batch);
  }
  if (duplicates_ != nullptr) Count(keys);
  std::size_t bad = 0;
  for (const KeyOrFault& key : keys) {
    if (key.fault == Fault::kNone) continue;
    ++plan_.bad[static_cast<std::size_t>(key.fault)];
    ++bad;
  }
  plan_.records += batch.rows.size();
  if (bad > 0 && plan_.bad_samples.size() < kSamples) TakeSamples(batch);
  return Ok{};
}

// What was read so far seemed to be sorted, so its keys were not remembered: that is read again. Of
// a file that is not sorted that is a row or two; of one that is but for its end it is all of it.
Status Planning::CountFromTheFront(const std::stop_token& stop) {
  std::uint64_t left = plan_.records;
  if (left == 0) return Ok{};
  const std::unique_ptr<ByteStream> stream = TRY(source_.Open(0, kToTheEnd, stop));
  RowReader reader(*stream, format_.format, format_.delimiter);
  bool header = format_.format == Format::kCsv;
  while (left > 0) {
    const RowBatch* const batch = TRY(reader.Next(stop));
    if (batch == nullptr) {
      return Error{ErrorCode::kConflict, "the file became shorter while it was planned"};
    }
    if (batch->rows.empty()) continue;
    RowBatch part = *batch;
    if (std::exchange(header, false)) part.rows = part.rows.subspan(1);
    part.rows = part.rows.first(std::min<std::uint64_t>(part.rows.size(), left));
    left -= part.rows.size();
    Count(parser_->Keys(part));
  }
  return Ok{};
}

// Keys are hashed for a whole batch before the first is looked up, so that what will be looked at
// is on its way from memory by then.
void Planning::Count(std::span<const KeyOrFault> keys) {
  AddFetched();
  for (const KeyOrFault& key : keys) {
    if (key.fault != Fault::kNone) continue;
    const std::uint64_t hash = HashKey(key.key);
    duplicates_->Prefetch(hash);
    fetched_[fetched_count_++] = hash;
  }
}

void Planning::AddFetched() {
  for (std::size_t i = 0; i < fetched_count_; ++i) duplicates_->Add(fetched_[i]);
  fetched_count_ = 0;
}

// The first bad rows in words.
void Planning::TakeSamples(const RowBatch& batch) {
  for (const Row& row : batch.rows) {
    if (plan_.bad_samples.size() == kSamples) return;
    const Record& record = parser_->Parse(batch, row);
    if (record.fault != Fault::kNone) plan_.bad_samples.push_back(record.problem);
  }
}

void Planning::Tell() {
  told_ = reader_->bytes();
  if (options_.progress == nullptr) return;
  options_.progress({.bytes_read = source_.stored_bytes_read(),
                     .bytes_total = plan_.shape.stored_bytes,
                     .records = plan_.records});
}

Result<FilePlan> Planning::Finish() {
  AddFetched();
  Tell();
  plan_.bytes = reader_->bytes();
  plan_.duplicates =
      duplicates_ != nullptr ? duplicates_->count() : DuplicateCount{.keys = order_.repeated()};
  const std::uint64_t size = options_.records_per_shard > 0 || options_.choose == nullptr
                                 ? options_.records_per_shard
                                 : options_.choose(plan_.records);
  plan_.shards = pieces_.Finish(size);
  if (pieces_.count() > options_.max_shards) {
    if (options_.records_per_shard > 0)
      return TooManyShards(plan_.records, pieces_.count(), options_);
    return Error{ErrorCode::kInvalid, "the file is too large: " + std::to_string(pieces_.count()) +
                                          " shards of " + std::to_string(kMaxShardBytes >> 20) +
                                          " MiB or less; at most " +
                                          std::to_string(options_.max_shards) + " are allowed"};
  }
  return std::move(plan_);
}

}  // namespace

std::uint64_t FilePlan::bad_records() const {
  return std::accumulate(bad.begin(), bad.end(), std::uint64_t{0});
}

Result<FilePlan> PlanFile(ByteSource& source, const FileFormat& format, const PlanOptions& options,
                          const std::stop_token& stop) {
  return Planning(source, format, options).Run(stop);
}

Result<std::vector<std::string>> ReadHeader(ByteSource& source, const FileFormat& format,
                                            const std::stop_token& stop) {
  return Planning(source, format, {}).Header(stop);
}

}  // namespace backfill::rows

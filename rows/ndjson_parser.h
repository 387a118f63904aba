#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "rows/json_object.h"
#include "rows/row_parser.h"

namespace backfill::rows {

// One JSON object a line. The key is a member that is a string or a whole number. A field is a
// string's text, or other values as they stand. A key or field that occurs twice makes the row bad:
// readers disagree about which one counts.
class NdJsonParser final : public RowParser {
 public:
  explicit NdJsonParser(const FileFormat& format);

  std::span<const KeyOrFault> Keys(const RowBatch& batch) override;
  Record& Parse(const RowBatch& batch, const Row& row) override;
  [[nodiscard]] const std::vector<std::string>& field_names() const override { return names_; }

 private:
  enum class Words { kWanted, kNotWanted };
  // What the n-th member of a row is called, and which slots that fills, as of the row before.
  struct Usual {
    bool known = false;
    std::string name = {};
    std::vector<std::size_t> slots = {};
  };

  const std::vector<std::size_t>& SlotsOf(const JsonMember& member, std::size_t ordinal);
  const std::vector<std::size_t>& LearnSlots(const JsonMember& member, std::size_t ordinal);
  Fault Read(const RowBatch& batch, const Row& row, Words words);
  Fault Bad(Fault fault, const Row& row, Words words, const std::string& what);
  Fault Take(const JsonMember& member, std::size_t slot, const Row& row, Words words);
  Fault CheckKey(JsonKind kind, const Row& row, Words words);
  Fault BadMember(std::size_t slot, const Row& row, Words words, const std::string& what);

  const std::vector<std::string> names_;
  // The key's name, then those of the fields.
  std::vector<std::string> sought_;
  std::vector<std::string_view> values_;
  std::vector<std::uint64_t> found_in_;  // the latest row that has it, counted in `rows_`
  std::uint64_t rows_ = 0;
  std::vector<Usual> usual_;
  Usual other_;  // of a member that usual_ has no place for
  std::vector<KeyOrFault> keys_;
  std::deque<std::string> unescaped_;
  std::string problem_;
  Record record_;
};

}  // namespace backfill::rows

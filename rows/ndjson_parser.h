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

  KeyOrFault Key(const RowBatch& batch, const Row& row) override;
  void Forget() override { unescaped_.clear(); }
  Record& Parse(const RowBatch& batch, const Row& row) override;
  [[nodiscard]] const std::vector<std::string>& field_names() const override { return names_; }

 private:
  enum class Words { kWanted, kNotWanted };

  Fault Read(const RowBatch& batch, const Row& row, Words words);
  Fault Bad(Fault fault, const Row& row, Words words, const std::string& what);
  Fault Take(const JsonMember& member, std::size_t slot, const Row& row, Words words);

  const std::vector<std::string> names_;
  // The key's name, then those of the fields.
  std::vector<std::string> sought_;
  std::vector<std::string_view> values_;
  std::vector<bool> found_;
  std::deque<std::string> unescaped_;
  std::string problem_;
  Record record_;
};

}  // namespace backfill::rows

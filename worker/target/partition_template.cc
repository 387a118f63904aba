#include "worker/target/partition_template.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/template.h"

namespace backfill::worker {
namespace {

constexpr std::string_view kFields = "fields.";

struct Piece {
  enum class Kind { kLiteral, kKey, kField };
  Kind kind = Kind::kLiteral;
  std::string literal = {};
  std::size_t field = 0;
};

Result<Piece> PieceOf(const TemplatePart& part, const TemplateNames& names) {
  if (part.kind == TemplatePart::Kind::kLiteral) return Piece{.literal = part.text};
  const std::string at =
      "line " + std::to_string(part.line) + ", column " + std::to_string(part.column) + ": ";
  if (!part.filter.empty()) {
    return Error{ErrorCode::kInvalid, at + "a partition's name takes no filter"};
  }
  if (part.text == "key") return Piece{.kind = Piece::Kind::kKey};
  if (part.text == "backfill.name") return Piece{.literal = names.backfill_name};
  if (part.text == "backfill.uid") return Piece{.literal = names.backfill_uid};
  if (part.text.starts_with(kFields)) {
    const auto field = std::ranges::find(names.fields, part.text.substr(kFields.size()));
    if (field != names.fields.end()) {
      return Piece{.kind = Piece::Kind::kField,
                   .field = static_cast<std::size_t>(field - names.fields.begin())};
    }
  }
  return Error{ErrorCode::kInvalid, at + "the source has no {{" + part.text + "}}"};
}

}  // namespace

Result<PartitionOf> CompilePartitionTemplate(std::string_view text, const TemplateNames& names) {
  std::vector<Piece> pieces;
  for (const TemplatePart& part : TRY(ParseTemplate(text)))
    pieces.push_back(TRY(PieceOf(part, names)));
  return PartitionOf([pieces = std::move(pieces)](const Record& record) {
    std::string name;
    for (const Piece& piece : pieces) {
      std::string_view value = piece.literal;
      if (piece.kind == Piece::Kind::kKey) value = record.key;
      if (piece.kind == Piece::Kind::kField)
        value = piece.field < record.fields.size() ? std::string_view(record.fields[piece.field])
                                                   : std::string_view();
      // Too long is too long, however much.
      name += value.substr(0, Partitions::kMaxName + 1);
    }
    return name;
  });
}

}  // namespace backfill::worker

#include "operator/kube/object_writes.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/utf8.h"

namespace backfill::kube {
namespace {

constexpr std::size_t kMaxNameBytes = 253;
constexpr std::size_t kMaxNamespaceBytes = 63;
constexpr std::size_t kMaxKindBytes = 63;

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// A DNS label, or with `dots` a DNS subdomain, checked as loosely as all our names need.
bool IsDnsName(std::string_view name, std::size_t max_bytes, std::string_view inner) {
  if (name.empty() || name.size() > max_bytes) return false;
  if (!IsLowerOrDigit(name.front()) || !IsLowerOrDigit(name.back())) return false;
  for (const char c : name) {
    if (!IsLowerOrDigit(c) && inner.find(c) == std::string_view::npos) return false;
  }
  return true;
}

bool IsKind(std::string_view kind) {
  if (kind.empty() || kind.size() > kMaxKindBytes) return false;
  for (const char c : kind) {
    if (!IsLetter(c)) return false;
  }
  return true;
}

bool IsText(std::string_view text) {
  return text.find('\0') == std::string_view::npos && ValidUtf8Prefix(text) == text.size();
}

bool IsText(const std::map<std::string, std::string>& texts) {
  for (const auto& [key, value] : texts) {
    if (!IsText(key) || !IsText(value)) return false;
  }
  return true;
}

std::size_t Bytes(const Object& o) {
  std::size_t bytes = o.ref.kind.size() + o.ref.ns.size() + o.ref.name.size() + o.content.size() +
                      o.status.size() + o.owner_uid.size();
  for (const auto& [key, value] : o.annotations) bytes += key.size() + value.size();
  for (const auto& [key, value] : o.labels) bytes += key.size() + value.size();
  return bytes;
}

Error Invalid(const ObjectRef& ref, std::string_view why) {
  return {ErrorCode::kInvalid, fmt::format("{}: {}", Describe(ref), why)};
}

Status CheckBody(const Object& o) {
  if (!IsText(o.content)) return Invalid(o.ref, "the content is not UTF-8 text without NUL");
  if (!IsText(o.status)) return Invalid(o.ref, "the status is not UTF-8 text without NUL");
  if (!IsText(o.annotations)) return Invalid(o.ref, "an annotation is not UTF-8 text without NUL");
  if (!IsText(o.labels)) return Invalid(o.ref, "a label is not UTF-8 text without NUL");
  if (!IsText(o.owner_uid)) return Invalid(o.ref, "the owner's uid is not UTF-8 text without NUL");
  if (const std::size_t bytes = Bytes(o); bytes > kMaxObjectBytes) {
    return Invalid(
        o.ref, fmt::format("too large: {} bytes, at most {} are allowed", bytes, kMaxObjectBytes));
  }
  return Ok{};
}

Status CheckVersion(const Object& current, const Object& wanted) {
  if (current.resource_version == wanted.resource_version) return Ok{};
  return Error{ErrorCode::kConflict,
               fmt::format("{}: changed since it was read; read it again", Describe(current.ref))};
}

// As a UUID, version 4.
std::string NewUid() {
  std::string hex = RandomHex(16);
  hex[12] = '4';
  hex[16] = "89ab"[static_cast<unsigned char>(hex[16]) % 4];
  for (const std::size_t at : {8U, 13U, 18U, 23U}) hex.insert(at, 1, '-');
  return hex;
}

}  // namespace

std::string Describe(const ObjectRef& ref) {
  std::string text = fmt::format("{} {}/{}", ref.kind, ref.ns, ref.name);
  if (text.size() > 2 * kMaxNameBytes) text.resize(2 * kMaxNameBytes);
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text;
}

Result<Object> MakeCreated(const Object& wanted, std::uint64_t version, WallTime now) {
  if (!IsKind(wanted.ref.kind)) return Invalid(wanted.ref, "a kind has 1 to 63 letters");
  if (!IsDnsName(wanted.ref.ns, kMaxNamespaceBytes, "-")) {
    return Invalid(
        wanted.ref,
        "a namespace has 1 to 63 lower-case letters, digits and '-', the latter only inside");
  }
  if (!IsDnsName(wanted.ref.name, kMaxNameBytes, "-.")) {
    return Invalid(
        wanted.ref,
        "a name has 1 to 253 lower-case letters, digits, '-' and '.', the latter two only inside");
  }
  Object o = wanted;
  o.status.clear();
  o.finalizers.clear();
  o.deletion_time.clear();
  TRY(CheckBody(o));
  o.uid = NewUid();
  o.resource_version = std::to_string(version);
  o.generation = 1;
  o.creation_time = FormatWallTime(now);
  return o;
}

Result<std::optional<Object>> MakeUpdated(const Object& current, const Object& wanted,
                                          std::uint64_t version) {
  TRY(CheckVersion(current, wanted));
  if (current.annotations == wanted.annotations && current.labels == wanted.labels &&
      current.content == wanted.content) {
    return std::optional<Object>();
  }
  Object o = current;
  o.annotations = wanted.annotations;
  o.labels = wanted.labels;
  if (o.content != wanted.content) ++o.generation;
  o.content = wanted.content;
  o.resource_version = std::to_string(version);
  TRY(CheckBody(o));
  return std::optional<Object>(std::move(o));
}

Result<std::optional<Object>> MakeStatusUpdated(const Object& current, const Object& wanted,
                                                std::uint64_t version) {
  TRY(CheckVersion(current, wanted));
  if (current.status == wanted.status) return std::optional<Object>();
  Object o = current;
  o.status = wanted.status;
  o.resource_version = std::to_string(version);
  TRY(CheckBody(o));
  return std::optional<Object>(std::move(o));
}

Error NotFound(const ObjectRef& ref) {
  return {ErrorCode::kNotFound, Describe(ref) + ": does not exist"};
}
Error NameTaken(const ObjectRef& ref) {
  return {ErrorCode::kConflict, Describe(ref) + ": exists already"};
}
Error OtherUid(const ObjectRef& ref) {
  return {ErrorCode::kConflict, Describe(ref) + ": is another object of the same name"};
}

}  // namespace backfill::kube

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file_stamp.h"
#include "base/result.h"

namespace backfill {

// A header whose value is read by whoever sends: from a file, or else from a variable of the
// environment.
struct SecretHeader {
  std::string name;
  std::string prefix = {};  // before the value, such as "Bearer "
  std::string file = {}, env = {};
  bool base64 = false;  // the value is encoded, as for basic authentication
};

// Headers whose values stand in files or variables of this machine, and nowhere else: no message of
// this class holds one. Not thread-safe.
class SecretHeaders {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{8} * 1024;  // of a value

  SecretHeaders() = default;
  // `place` is what messages call the list, such as "target.http.secretHeaders". kInvalid: a value
  // cannot be read, or cannot stand in a header; the message says whose.
  static Result<SecretHeaders> Load(const std::vector<SecretHeader>& headers, std::string place);

  // Reads files again that have changed. If one cannot be used now, its old value serves on and the
  // log says so.
  void Refresh();

  // All of them as they stand in a request, each with its end of line.
  [[nodiscard]] const std::string& lines() const { return lines_; }
  // The text without what is secret in it, such as a reply that repeats the request.
  [[nodiscard]] std::string Redact(std::string text) const;

 private:
  struct Entry {
    SecretHeader header;
    FileStamp stamp;     // of the file when it was read last, for good or bad
    std::string secret;  // as read
    std::string value;   // as sent, without the prefix
  };
  static Status Read(Entry& entry);
  [[nodiscard]] std::string PlaceOf(std::size_t index) const;
  void Render();

  std::string place_;
  std::vector<Entry> entries_;
  std::string lines_;
};

}  // namespace backfill

#include "cli/local_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <optional>
#include <system_error>

#include "cli/descriptor.h"

namespace backfill::cli {
namespace {

// Why the file cannot be read, if it cannot.
std::optional<std::string> WhyUnreadable(const std::string& path) {
  // O_NONBLOCK: not to wait for whoever writes to a pipe.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return std::generic_category().message(errno);
  struct stat s{};
  if (fstat(file.get(), &s) != 0) return std::generic_category().message(errno);
  if (S_ISDIR(s.st_mode)) return std::generic_category().message(EISDIR);
  if (S_ISREG(s.st_mode) && s.st_size == 0) return "is empty";
  return std::nullopt;
}

// Of a source or a target, whose field `place` is.
template <typename T>
void FindUnreadableOf(const T& named, const std::string& place, std::vector<std::string>& found) {
  const auto check_file = [&](const std::string& field, const std::string& path) {
    if (path.empty()) return;
    if (const auto why = WhyUnreadable(path))
      found.push_back(fmt::format("{}.{}: {}: {}", place, field, path, *why));
  };
  if (named.tls) {
    check_file("tls.caFile", named.tls->ca_file);
    check_file("tls.certFile", named.tls->cert_file);
    check_file("tls.keyFile", named.tls->key_file);
  }
  for (std::size_t i = 0; i < named.secret_headers.size(); ++i) {
    const api::SecretHeader& header = named.secret_headers[i];
    check_file(fmt::format("secretHeaders[{}].file", i), header.file);
    if (header.env.empty()) continue;
    const char* value = std::getenv(header.env.c_str());  // NOLINT(concurrency-mt-unsafe)
    if (value == nullptr || *value == '\0') {
      found.push_back(fmt::format("{}.secretHeaders[{}].env: {} is {}", place, i, header.env,
                                  value == nullptr ? "not set" : "empty"));
    }
  }
}

}  // namespace

std::vector<std::string> FindUnreadable(const api::Spec& spec) {
  std::vector<std::string> found;
  if (const auto* file = std::get_if<api::FileSource>(&spec.source))
    FindUnreadableOf(*file, "spec.source.file", found);
  FindUnreadableOf(spec.target, "spec.target.http", found);
  return found;
}

}  // namespace backfill::cli

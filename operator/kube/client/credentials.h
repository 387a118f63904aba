#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace backfill::kube {

// Who we are, and whom we believe. Never in a message or a log.
struct Credentials {
  std::string token = {};                // empty: none
  std::string scheme = "Bearer";         // or Basic, of a token that is user:password in base64
  std::string ca_pem = {};               // what alone is trusted; empty: what the system trusts
  std::string certificate_pem = {};      // of the client, with its chain; empty: none
  std::string key_pem = {};              // of that certificate
  std::optional<WallTime> expires = {};  // of the token or the certificate, where that is known

  // Whether a connection made with these may still be used with the others.
  [[nodiscard]] bool SameTls(const Credentials& other) const {
    return ca_pem == other.ca_pem && certificate_pem == other.certificate_pem &&
           key_pem == other.key_pem;
  }
};

// Where they come from: files, a program. Thread-safe. Errors (kUnauthenticated, kDeadline,
// kAborted) name the file or the program, never what it said.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  virtual Result<Credentials> Load(Time deadline, std::stop_token stop) = 0;
};

// Each is a file if it has a name, and else what it is.
struct CredentialFiles {
  std::string token = {}, token_file = {};
  std::string ca_pem = {}, ca_file = {};
  std::string certificate_pem = {}, certificate_file = {};
  std::string key_pem = {}, key_file = {};
};

// Reads all of them at each Load. Certificates and keys are looked at, so that half a file is found
// here and not in a handshake.
std::unique_ptr<CredentialSource> MakeFileCredentials(CredentialFiles files);

// At most `max_bytes` of a regular file, which nothing but a file on disk can delay.
Result<std::string> ReadSmallFile(const std::string& path, std::size_t max_bytes);

// A token that goes into a header: visible ASCII, at most 64 KiB, blanks around it cut off.
Result<std::string> CheckToken(std::string_view token, std::string_view source);

}  // namespace backfill::kube

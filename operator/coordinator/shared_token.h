#pragma once

#include <string>

#include "operator/coordinator/authenticator.h"

namespace backfill::coordinator {

// On one machine all workers show the secret that their runner has given them, and are believed
// what they say. Thread-safe.
class SharedToken final : public Authenticator {
 public:
  explicit SharedToken(std::string token) : token_(std::move(token)) {}
  void Authenticate(std::string token, std::string peer, Done done) override;

 private:
  const std::string token_;
};

}  // namespace backfill::coordinator

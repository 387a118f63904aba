#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace backfill::fakes {

// Which calls are meant; what is empty means any. Verbs as in audit logs: get list watch create
// update patch delete deletecollection.
struct CallFilter {
  std::string verb = {};
  std::string plural = {};
  std::string ns = {};
  std::string name = {};
  std::string subresource = {};  // "status", or "-" for none
};

// What happens to a call. Without an error and a status the call succeeds after the delay.
struct Fault {
  std::optional<Error> error = {};  // there is no response
  int status = 0;                   // or this one
  std::string reason = {};
  std::string message = {};
  std::optional<std::chrono::seconds> retry_after = {};
  bool applied = false;  // it happens nevertheless; only the answer is another, or comes late
  Duration delay{0};     // until the answer, by the server's clock
  bool twice = false;    // the request arrives two times; the answer is that of the second

  // The connection could not be made.
  static Fault Unreachable() {
    return {.error = Error{ErrorCode::kUnavailable, "connection refused"}};
  }
  // It was made, the request read and obeyed, and the connection lost.
  static Fault AnswerLost() {
    return {.error = Error{ErrorCode::kUnavailable, "connection reset by peer"}, .applied = true};
  }
  static Fault Status(int status, std::string reason = "", std::string message = "") {
    return {.status = status, .reason = std::move(reason), .message = std::move(message)};
  }
  static Fault TooManyRequests(std::chrono::seconds retry_after) {
    return {.status = 429,
            .reason = "TooManyRequests",
            .message = "Too many requests, please try again later.",
            .retry_after = retry_after};
  }
  static Fault Unauthorized() { return Status(401, "Unauthorized", "Unauthorized"); }
  // By role-based access control.
  static Fault ForbiddenByRole() {
    return Status(403, "Forbidden", "User \"operator\" cannot do this");
  }
  static Fault DeniedByPolicy(const std::string& why) {
    return Status(422, "Invalid", "ValidatingAdmissionPolicy 'policy' denied request: " + why);
  }
  // Of etcd; the API server's own answer to a version that is too old.
  static Fault Expired() {
    return Status(410, "Expired", "The resourceVersion for the provided list is too old.");
  }
  static Fault Late(Duration delay) { return {.applied = true, .delay = delay}; }
  static Fault ArrivesTwice() { return {.twice = true}; }
};

// A call that the server has answered, or whose connection it lost.
struct ServedCall {
  std::string verb, plural, ns, name, subresource;
  std::string target;
  std::string body;
  int status = 0;  // 0: no answer
};

// Who a token belongs to.
struct FakeIdentity {
  std::string user;
  std::string uid = {};
  std::vector<std::string> groups = {};
  std::vector<std::string> audiences = {};
  std::map<std::string, std::vector<std::string>> extra = {};
};

}  // namespace backfill::fakes

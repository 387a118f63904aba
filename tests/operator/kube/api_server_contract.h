#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/operator/kube/api_server_under_test.h"

namespace backfill::kube {

inline constexpr const char* kJson = "application/json";
inline constexpr const char* kMerge = "application/merge-patch+json";
inline constexpr const char* kJsonPatch = "application/json-patch+json";
inline constexpr const char* kApply = "application/apply-patch+yaml";
inline constexpr const char* kOtherUid = "00000000-0000-4000-8000-000000000000";

// A namespace of its own on the server, and calls in the words of a test.
class ApiServerContractTest : public ::testing::TestWithParam<ServerKind> {
 protected:
  void SetUp() override;
  void TearDown() override;

  // /api/v1/namespaces/<ns>/configmaps/a; by the plural alone.
  [[nodiscard]] std::string Path(const std::string& plural, const std::string& name = "") const;

  Reply Send(HttpMethod method, const std::string& target, const std::string& body = "",
             const std::string& content_type = "", const std::string& accept = "");
  Reply Post(const std::string& target, const nlohmann::json& object) {
    return Send(HttpMethod::kPost, target, object.dump(), kJson);
  }
  Reply Create(const std::string& plural, const nlohmann::json& object) {
    return Post(Path(plural), object);
  }
  Reply Get(const std::string& plural, const std::string& name) {
    return Send(HttpMethod::kGet, Path(plural, name));
  }
  Reply List(const std::string& plural, const std::string& query = "") {
    return Send(HttpMethod::kGet, Path(plural) + (query.empty() ? "" : "?" + query));
  }
  Reply Put(const std::string& plural, const std::string& name, const nlohmann::json& object) {
    return Send(HttpMethod::kPut, Path(plural, name), object.dump(), kJson);
  }
  Reply Merge(const std::string& plural, const std::string& name, const nlohmann::json& patch) {
    return Send(HttpMethod::kPatch, Path(plural, name), patch.dump(), kMerge);
  }
  // Of a Backfill.
  Reply MergeStatus(const std::string& name, const nlohmann::json& patch) {
    return Send(HttpMethod::kPatch, Path("backfills", name) + "/status", patch.dump(), kMerge);
  }
  Reply JsonPatch(const std::string& plural, const std::string& name, const nlohmann::json& patch,
                  const std::string& subresource = "") {
    const std::string below = subresource.empty() ? "" : "/" + subresource;
    return Send(HttpMethod::kPatch, Path(plural, name) + below, patch.dump(), kJsonPatch);
  }
  Reply Delete(const std::string& plural, const std::string& name,
               const nlohmann::json& options = nullptr) {
    return options.is_null() ? Send(HttpMethod::kDelete, Path(plural, name))
                             : Send(HttpMethod::kDelete, Path(plural, name), options.dump(), kJson);
  }

  static nlohmann::json Named(const std::string& name) { return {{"metadata", {{"name", name}}}}; }
  static nlohmann::json Labelled(const std::string& name, const std::string& team);
  static nlohmann::json Backfill(const std::string& name);
  static nlohmann::json Ledger(const std::string& name);
  static nlohmann::json Job(const std::string& name);
  static std::vector<std::string> NamesIn(const Reply& list);
  // A text of the reply, for a query.
  static std::string Quoted(const Reply& reply, const std::string& pointer);

  template <typename T>
  static T Must(Result<T> result) {
    if (!result.ok()) {
      ADD_FAILURE() << result.error().message;
      std::abort();
    }
    return std::move(result).value();
  }

  std::unique_ptr<ApiServerUnderTest> server_;
  std::string ns_;
};

}  // namespace backfill::kube

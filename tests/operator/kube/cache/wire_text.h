#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

// What an API server would write, for tests.
namespace backfill::kube {

inline std::string PodText(std::string_view name, std::string_view version,
                           std::string_view uid = {}) {
  const std::string own_uid = uid.empty() ? "uid-of-" + std::string(name) : std::string(uid);
  return R"({"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop","name":")" +
         std::string(name) + R"(","uid":")" + own_uid + R"(","resourceVersion":")" +
         std::string(version) + R"("}})";
}

inline std::string EventText(std::string_view type, const std::string& object) {
  return R"({"type":")" + std::string(type) + R"(","object":)" + object + "}";
}

inline std::string BookmarkText(std::string_view version) {
  return EventText("BOOKMARK",
                   R"({"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":")" +
                       std::string(version) + R"("}})");
}

inline std::string StatusText(int code, std::string_view reason, std::string_view message = {}) {
  return R"({"kind":"Status","apiVersion":"v1","status":"Failure","message":")" +
         std::string(message) + R"(","reason":")" + std::string(reason) + R"(","code":)" +
         std::to_string(code) + "}";
}

inline std::string ListText(const std::vector<std::string>& items, std::string_view version,
                            std::string_view next = {}) {
  std::string text = R"({"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":")" +
                     std::string(version) + '"';
  if (!next.empty()) text += R"(,"continue":")" + std::string(next) + '"';
  text += R"(},"items":[)";
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += ',';
    text += items[i];
  }
  return text + "]}";
}

}  // namespace backfill::kube
